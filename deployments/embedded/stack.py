"""The embedded stack: a Prefect server, a runner that executes the runs of all deployments, a webhook receiver.

Does not import Prefect: this process only starts and monitors the others, and stays small.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.embedded.child_process import READY_SECONDS, describe_failed_start, run_child
from deployments.embedded.log_rotation import rotate_log
from deployments.embedded.prefect_server import LOG_NAME, embedded_home, open_in_home, prefect_server
from deployments.embedded.webhook_receiver import WebhookReceiver, bind_receiver
from models.environment.child_environment import PREFECT_CLIENT, PREFECT_SETTINGS, SERVICE, python_command
from models.environment.prefect_retention import retention_settings
from models.errors import PrefectError
from models.settings import Settings

CLEANUP_TIMEOUT_SECONDS = 60.0
READY_FD_VARIABLE = "AVATARS_READY_DESCRIPTOR"
"""The variable with the file descriptor of the readiness pipe.

The runner writes one line once every deployment is registered and later webhook deliveries are noticed.
"""
STACK_ID_VARIABLE = "AVATARS_STACK_ID"
"""The variable with the id of this stack, under which its runner holds the lease on the Prefect API."""


@dataclass(frozen=True)
class EmbeddedStack:
    """A running stack: the URL of its Prefect API, its processes by name, and its receiver and log, if any."""

    api_url: str
    processes: Mapping[str, subprocess.Popen[bytes]]
    receiver: WebhookReceiver | None
    server_log: Path | None

    def check_processes(self) -> None:
        """Raise PrefectError if one of the processes has exited; restart the webhook receiver, rotate the log."""
        if self.receiver is not None:
            self.receiver.ensure_running()
        if self.server_log is not None:
            with contextlib.suppress(OSError):  # a full disk must not end the service; the next call tries again
                rotate_log(self.server_log)
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise PrefectError(
                    f"the {name} exited with code {process.returncode}",
                    hint="start `avatars up` again; interrupted runs continue from the ledger",
                )


@contextlib.contextmanager
def embedded_stack(say: Callable[[str], None], port: int, settings: Settings) -> Iterator[EmbeddedStack]:
    """Run the stack while the context is open, and yield it once it is ready.

    On exit every process of the stack is ended and its interrupted runs are rescheduled. The next stack continues
    them from the ledger. A second stack on the same Prefect API is refused; use work pools for several machines.

    Args:
        say: Receives status messages.
        port: Port of the embedded Prefect server, which is started if no Prefect API is configured; 0 selects a
            free port.
        settings: The settings of this process.

    Raises:
        SettingsError: A port is in use, or no API key can be found.
        PrefectError: The stack does not become ready.
    """
    with contextlib.ExitStack() as stack:
        has_receiver = settings.avatars_webhook_token is not None
        listener = stack.enter_context(bind_receiver(settings.avatars_webhook_port)) if has_receiver else None
        processes: dict[str, subprocess.Popen[bytes]] = {}
        configured_url, password, database, may_have_credentials = _query_prefect_connection()
        server_log: Path | None = None
        if not settings.avatars_credentials_block or not may_have_credentials:
            settings.require_api_key()
        if configured_url:
            url = configured_url
        else:
            home = embedded_home()
            stack.enter_context(_exclusive_lock(home))
            say("no Prefect API is configured: starting one on loopback")
            server = stack.enter_context(
                prefect_server(
                    home,
                    port,
                    database=database,
                    password=password,
                    allowed_hosts=settings.avatars_allowed_hosts,
                    retention=retention_settings(
                        settings.avatars_run_retention_seconds, settings.avatars_event_retention_seconds, os.environ
                    ),
                )
            )
            url, processes["Prefect server"] = server.url, server.process
            server_log = home / LOG_NAME
        # The Prefect API stores the logs of runs. The terminal shows only errors that affect all of them.
        environment = {
            "PREFECT_API_URL": url,
            **PREFECT_CLIENT.select(password),
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
            STACK_ID_VARIABLE: uuid.uuid4().hex,
        }
        stack.callback(_recover_orphaned_runs, environment, processes)
        processes["runner"] = stack.enter_context(_start_runner(environment))
        # The receiver starts last, so that the runner notices every delivery that it stores.
        receiver = stack.enter_context(WebhookReceiver(listener, say)) if listener else None
        yield EmbeddedStack(url, processes, receiver, server_log)


@contextlib.contextmanager
def _exclusive_lock(home: Path) -> Iterator[None]:
    """Prevent a second stack with the same home, which would treat the runs of this one as orphaned.

    Raises:
        PrefectError: Another stack holds the lock.
    """
    with open_in_home(home, "stack.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PrefectError(
                f"`avatars up` is already running with its Prefect database in {home}",
                hint="stop it, or set another PREFECT_HOME and AVATARS_DATABASE_URL for this one",
            ) from None
        yield


@contextlib.contextmanager
def _start_runner(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    read_fd, write_fd = os.pipe()
    runner_environment = {**environment, READY_FD_VARIABLE: str(write_fd)}
    with run_child(
        "deployments.embedded.runner_process",
        output=None,
        inherited=SERVICE,
        environment=runner_environment,
        pass_fds=(write_fd,),
    ) as runner:
        os.close(write_fd)
        try:
            # A line means ready, end of file means that the runner has exited, and a timeout that it hangs.
            readable, _, _ = select.select([read_fd], [], [], READY_SECONDS)
            line = os.read(read_fd, select.PIPE_BUF) if readable else b""
        finally:
            os.close(read_fd)
        if not line:
            problem = describe_failed_start("the runner", runner.poll())
            raise PrefectError(problem, hint="read its output above")
        yield runner


def _query_prefect_connection() -> tuple[str | None, dict[str, str], dict[str, str], bool]:
    """Return how this environment connects to Prefect.

    Returns:
        The URL of the configured Prefect API or None, the password and database settings of an embedded server,
        and whether that API may contain a credentials block.

    Raises:
        PrefectError: The configured API does not respond or rejects the credentials.
    """
    completed = subprocess.run(  # noqa: S603  # our own interpreter and module
        python_command("deployments.embedded.prefect_connection"),
        env=PREFECT_SETTINGS.select(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode:
        raise PrefectError("Prefect's settings cannot be read", hint="run `prefect config view` to see the cause")
    connection = json.loads(completed.stdout)
    if "message" in connection:
        raise PrefectError(connection["message"], hint=connection["hint"])
    return connection["url"], connection["password"], connection["database"], connection["blocks"]


def _recover_orphaned_runs(environment: dict[str, str], processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    server = processes.get("Prefect server")
    if server is not None and server.poll() is not None:
        return  # without a server no state can be set; the next stack recovers the runs when it starts
    with contextlib.suppress(subprocess.TimeoutExpired):  # the same if a configured server is unreachable
        subprocess.run(  # noqa: S603  # our own interpreter and module
            python_command("deployments.embedded.orphaned_runs"),
            env={**PREFECT_CLIENT.select(os.environ), **environment},
            timeout=CLEANUP_TIMEOUT_SECONDS,
            check=False,
            process_group=0,  # a second Ctrl-C must not end it: the runs would stay Running
        )
