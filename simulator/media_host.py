"""Serves a directory of videos over HTTPS on loopback: with ranges, without, and with the answers of a bad day.

/NAME                    the file, by ranges where asked
/no-ranges/NAME          the whole file, whatever is asked
/status/CODE/NAME        that status and nothing else
/redirect/LOCATION       a redirect to a URL, or to another path here
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import trustme
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from simulator.serving import HOST, serving


class Asked(NamedTuple):
    """A request that came: its path, and its Range header or nothing."""

    path: str
    range: str


@dataclass
class MediaHost:
    """A running host. `ca_file` (PEM) signed its certificate; `requests` grows by every request that comes."""

    base_url: str
    ca_file: Path
    requests: list[Asked] = field(default_factory=list)

    def url(self, path: str) -> str:
        """Return the URL of a file, or of any path above."""
        return f"{self.base_url}/{quote(path)}"

    def redirect_url(self, location: str) -> str:
        """Return a URL that redirects to `location`: a whole URL, or a path here."""
        return f"{self.base_url}/redirect/{quote(location, safe='')}"


def media_app(directory: Path, requests: list[Asked]) -> Starlette:
    """Return the ASGI app that serves `directory` and notes in `requests` what it was asked."""

    def found(request: Request) -> Path | None:
        path = directory / Path(request.path_params["name"]).name
        return path if path.is_file() else None

    async def ranged(request: Request) -> Response:
        path = found(request)
        return FileResponse(path) if path else Response(status_code=404)

    async def unranged(request: Request) -> Response:
        path = found(request)
        if path is None:
            return Response(status_code=404)
        # A FileResponse answers with ranges to a request that asks for them: here none does.
        request.scope["headers"] = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
        return FileResponse(path, headers={"accept-ranges": "none"})

    async def status(request: Request) -> Response:
        return Response(status_code=request.path_params["code"])

    async def redirect(request: Request) -> Response:
        location = request.path_params["location"]
        return RedirectResponse(location if "://" in location else f"/{location}", status_code=302)

    return Starlette(
        routes=[
            Route("/no-ranges/{name}", unranged),
            Route("/status/{code:int}/{name}", status),
            Route("/redirect/{location:path}", redirect),
            Route("/{name}", ranged),
        ],
        middleware=[Middleware(_Noting, requests=requests)],
    )


class _Noting:
    def __init__(self, app: ASGIApp, requests: list[Asked]) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            self._requests.append(Asked(request.url.path, request.headers.get("range", "")))
        await self._app(scope, receive, send)


@contextlib.contextmanager
def running_media_host(directory: Path, port: int = 0) -> Iterator[MediaHost]:
    """Serve `directory` while the context is open. Its certificate is for 127.0.0.1, localhost, allowed.localhost.

    `port` 0 takes a free one. Raises OSError where the port is taken.
    """
    authority = trustme.CA()
    with tempfile.TemporaryDirectory(prefix="media-host-") as secrets:
        ca_file, certificate = Path(secrets, "ca.pem"), Path(secrets, "host.pem")
        authority.cert_pem.write_to_path(ca_file)
        authority.issue_cert(HOST, "localhost", "allowed.localhost").private_key_and_cert_chain_pem.write_to_path(
            certificate
        )
        requests: list[Asked] = []
        with serving(media_app(directory, requests), port=port, certificate=certificate) as base_url:
            yield MediaHost(base_url, ca_file, requests)
