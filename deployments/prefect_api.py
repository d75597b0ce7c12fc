"""The Prefect API that the runs of this process report to: the configured one, or one started for them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.prefect_server import embedded_home, prefect_server, require_answer


def configured_api() -> str | None:
    """Return the URL of the Prefect API that the environment or the profile names, if any."""
    url: str | None = PREFECT_API_URL.value()
    return url


@contextlib.contextmanager
def prefect_api(say: Callable[[str], None]) -> Iterator[str]:
    """Make a Prefect API usable for the runs of this process; yields its URL.

    Uses the configured one; where none is, starts one and says so. Raises PrefectError where the configured
    one does not answer.
    """
    if (url := configured_api()) is not None:
        require_answer(url)
        yield url
        return
    say("no Prefect API is configured: starting one on loopback, for as long as this command runs")
    with prefect_server(embedded_home()) as url, temporary_settings({PREFECT_API_URL: url}):
        say(f"Prefect API at {url}")
        try:
            yield url
        finally:
            send_what_waits()


def send_what_waits() -> None:
    """Deliver logs and events that still wait in this process, while the server lives."""
    for worker in (APILogWorker, EventsWorker):
        worker.drain_all()
