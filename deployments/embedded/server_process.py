"""Runs Prefect's server behind RequestGuard; otherwise the same as `prefect server start`.

Usage: `python -m deployments.embedded.server_process DESCRIPTOR [ALLOWED_HOST ...]`. The rest is set by Prefect.
"""

from __future__ import annotations

import functools
import socket
import sys
from collections.abc import Collection

import uvicorn
from fastapi import FastAPI
from prefect.server.api.server import RequestLimitMiddleware, create_app
from prefect.settings import PREFECT_SERVER_CORS_ALLOWED_ORIGINS, Settings, get_current_settings, temporary_settings
from starlette.middleware import Middleware

from deployments.embedded.request_guard import MAX_BODY_BYTES, App, RequestGuard
from deployments.embedded.request_slots import RequestSlots
from deployments.embedded.server_connections import TimedProtocol, raise_open_files_limit
from models.environment.browser_access import ANY_ORIGIN, AccessPolicy, own_origins

DEFAULT_API_PATH = "/api"
STARTUP_FAILURE = 3
"""The exit code of uvicorn's own command."""


def allowed_origins(settings: Settings, port: int) -> list[str]:
    """Return the server's own origins and those that Prefect's settings add.

    Prefect's default, every origin, applies only if an operator has set it.
    """
    api = settings.server.api
    configured = api.cors_allowed_origins if "cors_allowed_origins" in api.model_fields_set else ""
    origins = [origin.strip() for origin in configured.split(",") if origin.strip()]
    return [ANY_ORIGIN] if ANY_ORIGIN in origins else [*own_origins(port), *origins]


def create_prefect_app(origins: Collection[str]) -> FastAPI:
    """Return Prefect's app for pages of these origins."""
    with temporary_settings({PREFECT_SERVER_CORS_ALLOWED_ORIGINS: ",".join(origins)}):
        app = create_app(final=True)
    # Prefect generates the API reference again for each request, in seconds of CPU time, and without a password.
    app.openapi = functools.cache(app.openapi)  # type: ignore[method-assign]
    return app


def take_request_limit(app: FastAPI) -> int | None:
    """Remove Prefect's own limit from an app that has not started; return its number, None if it has none."""
    limits = [middleware for middleware in app.user_middleware if _is_request_limit(middleware)]
    app.user_middleware = [middleware for middleware in app.user_middleware if middleware not in limits]
    return int(str(limits[0].kwargs["limit"])) if limits else None


def _is_request_limit(middleware: Middleware) -> bool:
    factory: object = middleware.cls
    return factory is RequestLimitMiddleware


def run_server(listener: socket.socket, hosts: Collection[str]) -> None:
    """Run Prefect's API, UI and background services on loopback until SIGTERM.

    Args:
        listener: The socket that listens on loopback.
        hosts: Values of AVATARS_ALLOWED_HOSTS.
    """
    settings = get_current_settings()
    api = settings.server.api
    origins = allowed_origins(settings, listener.getsockname()[1])
    prefect_app = create_prefect_app(origins)
    limit = take_request_limit(prefect_app)
    app: App = RequestSlots(prefect_app, limit) if limit else prefect_app
    policy = AccessPolicy.create(
        hosts=hosts,
        origins=origins,
        ui_api_url=settings.server.ui.api_url,
        api_path=api.base_path or DEFAULT_API_PATH,
    )
    raise_open_files_limit()
    config = uvicorn.Config(
        RequestGuard(app, policy),
        http=TimedProtocol,  # h11 refuses repeated Host headers and keeps absolute targets, which the guard needs
        ws_max_size=MAX_BODY_BYTES,
        ws_ping_interval=api.websocket_ping_interval,
        ws_ping_timeout=api.websocket_ping_timeout,
        timeout_keep_alive=api.keepalive_timeout,
        log_level=settings.server.logging_level.lower(),
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    if not server.started:
        sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    run_server(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
