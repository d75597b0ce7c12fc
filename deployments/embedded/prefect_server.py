"""Runs an embedded Prefect server on loopback.

Does not import Prefect, so that the process that only starts and monitors the others stays small.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

import httpx

from deployments.embedded.child_process import READY_SECONDS, describe_failed_start, run_child
from models.environment.child_environment import PREFECT_SERVER
from models.environment.disk_space import full_disk_problem
from models.environment.private_files import append_private_file, create_private_folder, make_private
from models.errors import PrefectError, SettingsError
from models.settings import HOME

HOST = "127.0.0.1"
READINESS_POLL_SECONDS = 0.1
LOG_NAME = "server.log"

QUIET_SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
}
PORT_HINT = "choose another port with --port; 0 selects a free port"
UI_API_URL = "PREFECT_SERVER_UI_API_URL"
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class PrefectServer:
    """A running Prefect server: the URL of its API, and its process."""

    url: str
    process: subprocess.Popen[bytes]


def bind_port(port: int, *, hint: str) -> socket.socket:
    """Return a socket that listens on a port on loopback; 0 selects a free port.

    Raises:
        SettingsError: The port cannot be bound; carries `hint`.
    """
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise port_error(port, error, hint=hint) from None


def port_error(port: int, error: OSError, *, hint: str) -> SettingsError:
    """Return the error for a port on loopback that could not be bound."""
    return SettingsError(f"port {port} cannot be used: {os.strerror(error.errno or 0)}", hint=hint)


def _is_ready(url: str) -> bool:
    """Return whether the Prefect API is ready. The endpoint needs no password; loopback needs no proxy."""
    try:
        return httpx.get(f"{url}/ready", timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


MAX_LOG_LINES = 8
"""Lines of the log in the error of a server that does not start."""
MAX_LOG_BYTES = 3000
"""Bytes of the log in that error, which has 4,000 characters at most."""


@contextlib.contextmanager
def prefect_server(
    home: Path,
    port: int = 0,
    *,
    database: Mapping[str, str],
    password: Mapping[str, str] = NO_SETTINGS,
    allowed_hosts: Collection[str] = (),
    retention: Mapping[str, str] = NO_SETTINGS,
) -> Iterator[PrefectServer]:
    """Run a Prefect server on loopback while the context is open.

    The server also ends if this process dies, whatever the cause.

    Args:
        home: Directory for its database and log.
        port: Port to listen on; 0 selects a free port.
        database: Settings from `prefect_connection.embedded_database_settings`.
        password: Settings from `prefect_connection.embedded_auth_settings`.
        allowed_hosts: Values of AVATARS_ALLOWED_HOSTS.
        retention: Settings from `retention_settings`, models/environment/prefect_retention.py.

    Raises:
        SettingsError: The port cannot be bound.
        PrefectError: The server exits or is not ready after READY_SECONDS.
    """
    log = home / LOG_NAME
    # The child inherits the socket: a port that it binds itself could be taken until then, and the server of
    # somebody else would answer the readiness check.
    listener = bind_port(port, hint=PORT_HINT)
    port = listener.getsockname()[1]
    url = f"http://{HOST}:{port}/api"
    own_settings = {"PREFECT_HOME": str(home), "PREFECT_API_URL": url}
    if os.environ.get(UI_API_URL) == "":  # a simulated server; Prefect would pass the empty value on to the UI
        own_settings[UI_API_URL] = url
    environment = {**QUIET_SETTINGS, **retention, **password, **database, **own_settings}
    args = ("deployments.embedded.server_process", str(listener.fileno()), *sorted(allowed_hosts))
    with contextlib.ExitStack() as stack:
        with listener:
            output = stack.enter_context(open_in_home(home, log.name))
            process = stack.enter_context(
                run_child(
                    *args,
                    output=output,
                    inherited=PREFECT_SERVER,
                    environment=environment,
                    pass_fds=[listener.fileno()],
                )
            )
        log_start = output.tell()
        deadline = time.monotonic() + READY_SECONDS
        while not _is_ready(url):
            if process.poll() is not None or time.monotonic() > deadline:
                problem = describe_failed_start("the Prefect server", process.poll())
                raise PrefectError(problem, hint=full_disk_problem(home) or _log_hint(log, log_start))
            time.sleep(READINESS_POLL_SECONDS)
        yield PrefectServer(url, process)


def _log_hint(log: Path, start: int) -> str:
    """Return the end of what the server wrote to its log: with `--simulate`, the file is deleted at the end.

    Args:
        log: The log, which may have records of earlier servers.
        start: Where those of this server begin, in bytes.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(start, file.seek(0, os.SEEK_END) - MAX_LOG_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        lines = []
    written = [line.strip() for line in lines if line.strip()][-MAX_LOG_LINES:]
    if not written:
        return f"its log {log} is empty; if the machine is busy, try again"
    return f"the log {log} ends with: {' | '.join(written)}"


def open_in_home(home: Path, name: str) -> IO[bytes]:
    """Open a file in the folder of an embedded server for appending; everything in the folder is private.

    The database contains the parameters of the runs: presigned URLs.

    Raises:
        PrefectError: The folder or the file cannot be created, opened or made private, or the file is a link.
    """
    try:
        create_private_folder(home)
        for path in (home, *home.glob("prefect.db*")):
            make_private(path)
        return os.fdopen(append_private_file(home / name), "ab")
    except OSError as error:
        raise PrefectError(
            f"{name} in the folder {home} of the Prefect server cannot be used: {error.strerror}",
            hint="set PREFECT_HOME to a folder that you own, which need not exist",
        ) from None


def embedded_home() -> Path:
    """Return the directory for the database and log of an embedded server."""
    return Path(os.environ.get("PREFECT_HOME") or HOME.expanduser() / "prefect")
