"""The Prefect API that runs report to: the configured one, or one started on loopback for as long as needed."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from models.errors import PrefectError
from models.settings import HOME

HOST = "127.0.0.1"
READY_SECONDS = 120.0
LOOK_SECONDS = 0.1
STOP_SECONDS = 15.0

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
}


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether a Prefect API is ready there. Proxies are for the world outside, not for this question."""
    try:
        return httpx.get(f"{url}/ready", timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def configured_api() -> str | None:
    """Return the URL of the Prefect API that the environment or the profile names, if any."""
    url: str | None = PREFECT_API_URL.value()
    return url


@contextlib.contextmanager
def prefect_server(home: Path) -> Iterator[str]:
    """Run a Prefect server on loopback, its database and log under `home`; yields the URL of its API.

    It ends with the context, and with this process however that ends. Raises PrefectError where it does not
    become ready.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = home / "server.log"
    port = _free_port()
    url = f"http://{HOST}:{port}/api"
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            [sys.executable, "-m", "deployments.prefect_process", "--host", HOST, "--port", str(port)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**os.environ, **QUIET, "PREFECT_HOME": str(home), "PREFECT_API_URL": url},
            start_new_session=True,  # Ctrl-C is for us: the server must outlive the runs it records
        )
    try:
        give_up_at = time.monotonic() + READY_SECONDS
        while not answers(url):
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise PrefectError(
                    f"the Prefect server did not start (exit code {process.poll()})", hint=f"see {log}"
                )
            time.sleep(LOOK_SECONDS)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin:
            process.stdin.close()


@contextlib.contextmanager
def prefect_api(say: Callable[[str], None]) -> Iterator[str]:
    """Make a Prefect API usable for the runs of this process; yields its URL.

    Uses the configured one; where none is, starts one and says so. Raises PrefectError where the configured
    one does not answer.
    """
    if (url := configured_api()) is not None:
        if not answers(url):
            raise PrefectError(
                f"no Prefect API answers at {url}",
                hint="start it, correct PREFECT_API_URL, or unset it to have one started",
            )
        yield url
        return
    home = Path(os.environ.get("PREFECT_HOME") or HOME.expanduser() / "prefect")
    say("no Prefect API is configured: starting one on loopback, for as long as this command runs")
    with prefect_server(home) as url, temporary_settings({PREFECT_API_URL: url}):
        say(f"Prefect API at {url}")
        try:
            yield url
        finally:
            send_what_waits()


def send_what_waits() -> None:
    """Deliver logs and events that still wait in this process, while the server lives."""
    for worker in (APILogWorker, EventsWorker):
        worker.drain_all()
