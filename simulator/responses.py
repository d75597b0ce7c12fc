"""The bodies of responses: JSON as documented, and what gateways, caches and faulty servers send instead."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, Response

Body = dict[str, Any]
Form = Callable[[int, Body], Response]
"""Builds a response from a status and the body of the avatar; the body is empty without one."""

OTHER_AVATAR_ID = "00000000-0000-4000-8000-00000000beef"
OTHER_SUBMISSION_ID = "00000000-0000-4000-8000-00000000cafe"


class AsciiJSONResponse(JSONResponse):
    """JSON in ASCII: a JSON string may contain a lone surrogate, which UTF-8 cannot encode."""

    def render(self, content: Any) -> bytes:
        """Return the encoded body."""
        return json.dumps(content, separators=(",", ":")).encode("ascii")


def error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """Return a response in the documented error format. No codes are documented, so the status is the code."""
    return AsciiJSONResponse({"code": int(status), "message": message}, status, headers)


def gateway_page(status: int, _body: Body) -> Response:
    """Return the page of a gateway."""
    phrase = HTTPStatus(status).phrase
    page = f"<html><head><title>{status} {phrase}</title></head><body><h1>{phrase}</h1><hr>gateway</body></html>"
    return Response(page, status, media_type="text/html")


def gateway_page_with_retry_after(status: int, body: Body) -> Response:
    """Return the page of a cache whose request to the origin failed."""
    response = gateway_page(status, body)
    response.headers["retry-after"] = "5"
    return response


def challenge_page(status: int, _body: Body) -> Response:
    """Return the page that asks a browser to prove that it is one."""
    page = (
        "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"
    )
    return Response(page, status, {"cf-mitigated": "challenge"}, "text/html")


def empty(status: int, _body: Body) -> Response:
    """Return a response without a body."""
    return Response(status_code=status)


def error_in_success(status: int, _body: Body) -> Response:
    """Return an error in the documented format with the status of a success."""
    return AsciiJSONResponse({"code": 400, "message": "datasetVideo could not be read"}, status)


def redirect(status: int, _body: Body) -> Response:
    """Return a redirect to a host that does not exist."""
    return Response(status_code=status, headers={"location": "https://elsewhere.invalid/v1/avatars"})


def not_json(status: int, _body: Body) -> Response:
    """Return a body that is not JSON, with the media type of JSON."""
    return Response("<html>Created", status, media_type="application/json")


def truncated(status: int, body: Body) -> Response:
    """Return the first half of the body."""
    content = json.dumps(body)
    return Response(content[: len(content) // 2], status, media_type="application/json")


def damaged_gzip(status: int, body: Body) -> Response:
    """Return a compressed body whose bytes were damaged on the way."""
    content = bytearray(gzip.compress(json.dumps(body).encode()))
    content[len(content) // 2] ^= 0xFF
    return Response(bytes(content), status, {"content-encoding": "gzip"}, "application/json")


def utf16(status: int, body: Body) -> Response:
    """Return the body in UTF-16 with a byte order mark."""
    return Response(json.dumps(body).encode("utf-16"), status, media_type="application/json")


def not_finite(status: int, body: Body) -> Response:
    """Return the body with numbers that are not JSON."""
    content = json.dumps({**body, "width": float("nan"), "height": float("inf")})
    return Response(content, status, media_type="application/json")


def repeated_key(status: int, body: Body) -> Response:
    """Return the body with a second, different id."""
    content = json.dumps({**body, "ID": OTHER_AVATAR_ID}).replace('"ID"', '"id"')
    return Response(content, status, media_type="application/json")


def other_avatar(status: int, body: Body) -> Response:
    """Return the avatar of another request, which is ready."""
    extras = {"submission_id": OTHER_SUBMISSION_ID}
    other = {**body, "id": OTHER_AVATAR_ID, "name": "Another", "status": "IDLE", "extras": extras}
    return AsciiJSONResponse(other, status)


def null_status(body: Body) -> Body:
    """Return the body without a status."""
    return {**body, "status": None}


def numeric_id(body: Body) -> Body:
    """Return the body with a number as its id."""
    return {**body, "id": int(body["id"][:8], 16)}


def video_create_removed(status: int, _body: Body) -> Response:
    """Return the error of a create request with videos after its removal; Argil documents no words for it."""
    return error(status, 'creating avatars from videos was removed: send type "IMAGE" with datasetImage')
