"""A Prefect server on loopback, for as long as it is needed.

Imports no Prefect: what only starts and watches processes stays small.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx

from deployments.with_parent import child
from models.errors import PrefectError, SettingsError
from models.settings import HOME

HOST = "127.0.0.1"
READY_SECONDS = 120.0
LOOK_SECONDS = 0.1

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
}


ORIGINS = ("PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS", "PREFECT_SERVER_CORS_ALLOWED_ORIGINS")
PORT_HINT = "choose another one with --port; 0 takes a free one"
NO_PASSWORD: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Server:
    """A running Prefect server: the URL of its API, and its process."""

    url: str
    process: subprocess.Popen[bytes]


def claimed_port(port: int, *, hint: str) -> int:
    """Return the port, a free one for 0. Raises SettingsError, with the hint, where loopback does not give it."""
    try:
        with socket.create_server((HOST, port)) as listener:
            claimed: int = listener.getsockname()[1]
            return claimed
    except OSError as error:
        raise port_refused(port, error, hint=hint) from None


def port_refused(port: int, error: OSError, *, hint: str) -> SettingsError:
    """Return the error for a port of loopback that could not be had."""
    return SettingsError(f"port {port} cannot be used: {os.strerror(error.errno or 0)}", hint=hint)


def _origins(port: int) -> dict[str, str]:
    """Let only the server's own UI call it from a browser; Prefect's default is any page open on this machine."""
    if any(name in os.environ for name in ORIGINS):
        return {}
    return {ORIGINS[0]: ",".join(f"http://{host}:{port}" for host in (HOST, "localhost"))}


def _is_ready(url: str) -> bool:
    """Whether a Prefect API is ready there, which it tells to anyone. No proxy is asked: it is on loopback."""
    try:
        return httpx.get(f"{url}/ready", timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def prefect_server(
    home: Path, port: int = 0, *, database: Mapping[str, str], password: Mapping[str, str] = NO_PASSWORD
) -> Iterator[Server]:
    """Run a Prefect server on loopback, its database and log under `home`.

    `port` 0 takes a free one, `database` and `password` are those of deployments/prefect_access.py. It ends with
    the context, and with this process however that ends. Raises SettingsError (the port), and PrefectError where
    it does not become ready.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = home / "server.log"
    port = claimed_port(port, hint=PORT_HINT)  # whoever else has it might answer in our server's place
    url = f"http://{HOST}:{port}/api"
    own = {"PREFECT_HOME": str(home), "PREFECT_API_URL": url}
    environment = {**QUIET, **_origins(port), **password, **database, **own}
    words = ("prefect", "server", "start", "--host", HOST, "--port", str(port))
    with log.open("ab") as output, child(*words, output=output, environment=environment) as process:
        give_up_at = time.monotonic() + READY_SECONDS
        while not _is_ready(url):
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise PrefectError(
                    f"the Prefect server did not start (exit code {process.poll()})", hint=f"see {log}"
                )
            time.sleep(LOOK_SECONDS)
        yield Server(url, process)


def embedded_home() -> Path:
    """Return where an embedded server keeps its database and log."""
    return Path(os.environ.get("PREFECT_HOME") or HOME.expanduser() / "prefect")
