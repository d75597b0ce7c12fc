"""Serves a directory of videos over HTTPS on loopback: with range requests, without them, and with faults.

/NAME                    the file, with support for range requests
/no-ranges/NAME          the whole file, without support for range requests
/status/CODE/NAME        a response with this status and no body
/redirect/LOCATION       a redirect to a URL, or to another path of this host
/behaviour/B/NAME        the file as `MediaHost.behaviours` says for B
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from simulator.host_behaviour import HostBehaviour
from simulator.uvicorn_thread import HOST, serve_in_thread


class RecordedRequest(NamedTuple):
    """A received request: its path and its Range header, empty without one."""

    path: str
    range: str


@dataclass
class MediaHost:
    """A running host. `ca_file` (PEM) signed its certificate; `requests` lists every received request.

    `behaviours` are the special answers of paths below /behaviour, by name.
    """

    base_url: str
    ca_file: Path
    requests: list[RecordedRequest] = field(default_factory=list)
    behaviours: dict[str, HostBehaviour] = field(default_factory=dict)

    def url(self, path: str) -> str:
        """Return the URL of a file, or of any path in the module docstring."""
        return f"{self.base_url}/{quote(path)}"

    def redirect_url(self, location: str) -> str:
        """Return a URL that redirects to `location`: a complete URL, or a path of this host."""
        return f"{self.base_url}/redirect/{quote(location, safe='')}"


def media_app(
    directory: Path, requests: list[RecordedRequest], behaviours: Mapping[str, HostBehaviour]
) -> Starlette:
    """Return the ASGI app that serves `directory` and appends each request to `requests`."""

    def find_file(request: Request) -> Path | None:
        path = directory / Path(request.path_params["name"]).name
        return path if path.is_file() else None

    async def ranged(request: Request) -> Response:
        path = find_file(request)
        return FileResponse(path) if path else Response(status_code=404)

    async def unranged(request: Request) -> Response:
        path = find_file(request)
        if path is None:
            return Response(status_code=404)
        # FileResponse supports range requests, so the Range header is removed here.
        request.scope["headers"] = [pair for pair in request.scope["headers"] if pair[0] != b"range"]
        return FileResponse(path, headers={"accept-ranges": "none"})

    async def status(request: Request) -> Response:
        return Response(status_code=request.path_params["code"])

    async def behaving(request: Request) -> Response:
        path, behaviour = find_file(request), behaviours.get(request.path_params["behaviour"])
        if path is None or behaviour is None:
            return Response(status_code=404)
        return behaviour.respond(request, path.read_bytes())

    async def redirect(request: Request) -> Response:
        location = request.path_params["location"]
        return RedirectResponse(location if "://" in location else f"/{location}", status_code=302)

    return Starlette(
        routes=[
            Route("/no-ranges/{name}", unranged),
            Route("/status/{code:int}/{name}", status),
            Route("/redirect/{location:path}", redirect),
            Route("/behaviour/{behaviour}/{name}", behaving),
            Route("/{name}", ranged),
        ],
        middleware=[Middleware(_RecordingMiddleware, requests=requests)],
    )


class _RecordingMiddleware:
    def __init__(self, app: ASGIApp, requests: list[RecordedRequest]) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            self._requests.append(RecordedRequest(request.url.path, request.headers.get("range", "")))
        await self._app(scope, receive, send)


@contextlib.contextmanager
def running_media_host(directory: Path, port: int = 0) -> Iterator[MediaHost]:
    """Serve `directory` while the context is open.

    The certificate is valid for 127.0.0.1, localhost and allowed.localhost.

    Args:
        directory: The folder of the videos.
        port: The port to listen on; 0 selects a free one.

    Raises:
        OSError: The port is in use.
    """
    import trustme  # noqa: PLC0415  # only the extra `demo` installs it

    authority = trustme.CA()
    with tempfile.TemporaryDirectory(prefix="media-host-") as secrets:
        ca_file, certificate = Path(secrets, "ca.pem"), Path(secrets, "host.pem")
        authority.cert_pem.write_to_path(ca_file)
        authority.issue_cert(HOST, "localhost", "allowed.localhost").private_key_and_cert_chain_pem.write_to_path(
            certificate
        )
        requests: list[RecordedRequest] = []
        behaviours: dict[str, HostBehaviour] = {}
        app = media_app(directory, requests, behaviours)
        with serve_in_thread(app, port=port, certificate=certificate) as base_url:
            yield MediaHost(base_url, ca_file, requests, behaviours)
