"""The Prefect API that the runs of this process report to: the configured one, or one started for them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from deployments.prefect_access import configured_api, embedded_database, embedded_password, require_access
from deployments.prefect_server import embedded_home, prefect_server


@contextlib.contextmanager
def prefect_api(say: Callable[[str], None]) -> Iterator[str]:
    """Make a Prefect API usable for the runs of this process; yields its URL.

    Uses the configured one; where none is, starts one and says so. Raises PrefectError where the configured
    one does not answer, or not us.
    """
    if (url := configured_api()) is not None:
        require_access(url)
        yield url
        return
    say("no Prefect API is configured: starting one on loopback, for as long as this command runs")
    password = embedded_password()
    with contextlib.ExitStack() as stack:
        home = embedded_home()
        server = stack.enter_context(prefect_server(home, database=embedded_database(home), password=password))
        url = server.url
        own = password.get(PREFECT_API_AUTH_STRING.name)
        stack.enter_context(temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: own}))
        say(f"Prefect API at {url}")
        stack.callback(send_what_waits)
        yield url


def send_what_waits() -> None:
    """Deliver logs and events that still wait in this process, while the server lives."""
    for worker in (APILogWorker, EventsWorker):
        worker.drain_all()
