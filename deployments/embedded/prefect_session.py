"""Provides the Prefect API for the runs of this process: the configured one or an embedded server."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployments.embedded.prefect_connection import (
    configured_api_url,
    embedded_auth_settings,
    embedded_database_settings,
    verify_access,
)
from deployments.embedded.prefect_server import embedded_home, prefect_server
from models.environment.prefect_retention import retention_settings
from models.settings import Settings


@contextlib.contextmanager
def ensure_prefect_api(say: Callable[[str], None], settings: Settings | None = None) -> Iterator[str]:
    """Make a Prefect API available to the runs of this process and yield its URL.

    Uses the configured API, or starts an embedded server if none is configured.

    Args:
        say: Receives status messages.
        settings: Host names and retention of an embedded server; None for a command that only reads or erases.

    Raises:
        SettingsError: The password of an embedded server or of the configured API cannot be used.
        PrefectError: The configured API does not respond or rejects the credentials, or the embedded server does
            not start.
    """
    if (url := configured_api_url()) is not None:
        verify_access(url)
        yield url
        return
    say("no Prefect API is configured: starting one on loopback for the duration of this command")
    password = embedded_auth_settings()
    with contextlib.ExitStack() as stack:
        home = embedded_home()
        server = stack.enter_context(
            prefect_server(
                home,
                database=embedded_database_settings(home),
                password=password,
                allowed_hosts=settings.avatars_allowed_hosts if settings else (),
                retention=_retention(settings) if settings else {},
            )
        )
        url = server.url
        auth_string = password.get(PREFECT_API_AUTH_STRING.name)
        stack.enter_context(temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: auth_string}))
        say(f"Prefect API at {url}")
        stack.callback(flush_telemetry)
        yield url


def _retention(settings: Settings) -> dict[str, str]:
    return retention_settings(
        settings.avatars_run_retention_seconds, settings.avatars_event_retention_seconds, os.environ
    )


def flush_telemetry() -> None:
    """Send the logs and events that are still queued in this process. Call this while the server is running."""
    for worker in (APILogWorker, EventsWorker):
        worker.drain_all()
