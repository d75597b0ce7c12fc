"""A Prefect server on loopback, for as long as it is needed.

Imports no Prefect: what only starts and watches processes stays small.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from deployments.with_parent import child
from models.errors import PrefectError
from models.settings import HOME

HOST = "127.0.0.1"
READY_SECONDS = 120.0
LOOK_SECONDS = 0.1

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


@contextlib.contextmanager
def prefect_server(home: Path, port: int = 0) -> Iterator[str]:
    """Run a Prefect server on loopback, its database and log under `home`; yields the URL of its API.

    `port` 0 takes a free one. It ends with the context, and with this process however that ends. Raises
    PrefectError where it does not become ready.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = home / "server.log"
    port = port or _free_port()
    url = f"http://{HOST}:{port}/api"
    environment = {**QUIET, "PREFECT_HOME": str(home), "PREFECT_API_URL": url}
    words = ("prefect", "server", "start", "--host", HOST, "--port", str(port))
    with log.open("ab") as output, child(*words, output=output, environment=environment) as process:
        give_up_at = time.monotonic() + READY_SECONDS
        while not answers(url):
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise PrefectError(
                    f"the Prefect server did not start (exit code {process.poll()})", hint=f"see {log}"
                )
            time.sleep(LOOK_SECONDS)
        yield url


def require_answer(url: str) -> None:
    """Raise PrefectError where no Prefect API is ready there."""
    if not answers(url):
        raise PrefectError(
            f"no Prefect API answers at {url}",
            hint="start it, correct PREFECT_API_URL, or unset it to have one started",
        )


def embedded_home() -> Path:
    """Return where an embedded server keeps its database and log."""
    return Path(os.environ.get("PREFECT_HOME") or HOME.expanduser() / "prefect")
