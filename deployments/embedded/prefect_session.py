"""Provides the Prefect API for the runs of this process: the configured one or an embedded server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator

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


@contextlib.contextmanager
def ensure_prefect_api(say: Callable[[str], None], allowed_hosts: Collection[str] = ()) -> Iterator[str]:
    """Make a Prefect API available to the runs of this process and yield its URL.

    Uses the configured API, or starts an embedded server if none is configured.

    Args:
        say: Receives status messages.
        allowed_hosts: Values of AVATARS_ALLOWED_HOSTS, for an embedded server.

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
                home, database=embedded_database_settings(home), password=password, allowed_hosts=allowed_hosts
            )
        )
        url = server.url
        auth_string = password.get(PREFECT_API_AUTH_STRING.name)
        stack.enter_context(temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: auth_string}))
        say(f"Prefect API at {url}")
        stack.callback(flush_telemetry)
        yield url


def flush_telemetry() -> None:
    """Send the logs and events that are still queued in this process. Call this while the server is running."""
    for worker in (APILogWorker, EventsWorker):
        worker.drain_all()
