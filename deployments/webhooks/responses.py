"""The responses of the webhook receiver. Each of them ends its connection."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from email.utils import formatdate
from http import HTTPStatus


@dataclass(frozen=True)
class Response:
    """A response with a small body; without `text` an error's body is the name of its status."""

    status: HTTPStatus
    text: str = ""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()

    def with_text(self, text: str) -> Response:
        """Return this response with another body."""
        return replace(self, text=text)

    @property
    def is_error(self) -> bool:
        """Whether the request was refused."""
        return self.status >= HTTPStatus.BAD_REQUEST

    def encode(self, *, has_body: bool = True) -> bytes:
        """Return the response as it is sent; `has_body` is false for the response to a HEAD request."""
        content = (self.text or (self.status.phrase if self.is_error else "")).encode()
        headers = {
            "date": formatdate(usegmt=True),
            "connection": "close",
            "content-length": str(len(content)),
            **({"content-type": self.content_type} if content else {}),
            **dict(self.headers),
        }
        lines = [f"HTTP/1.1 {self.status.value} {self.status.phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + (content if has_body else b"")


def retry_later(status: HTTPStatus, seconds: float = 1.0) -> Response:
    """Return a response that asks the sender to repeat the request after so many seconds."""
    return Response(status, headers=(("retry-after", str(math.ceil(seconds))),))


HEALTHY = Response(HTTPStatus.OK, '{"status":"ok"}', "application/json")
ACCEPTED = Response(HTTPStatus.ACCEPTED)
BAD_REQUEST = Response(HTTPStatus.BAD_REQUEST)
NOT_FOUND = Response(HTTPStatus.NOT_FOUND)
TIMEOUT = Response(HTTPStatus.REQUEST_TIMEOUT)
TOO_LARGE = Response(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
HEAD_TOO_LARGE = Response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
INTERNAL_ERROR = Response(HTTPStatus.INTERNAL_SERVER_ERROR)
BUSY = retry_later(HTTPStatus.SERVICE_UNAVAILABLE)


def method_not_allowed(*allowed: str) -> Response:
    """Return the response to another method than these."""
    return Response(HTTPStatus.METHOD_NOT_ALLOWED, headers=(("allow", ", ".join(allowed)),))
