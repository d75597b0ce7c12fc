"""The embedded stack: a Prefect API, every deployment, and a runner that runs them here.

Imports no Prefect: this process only starts and watches the others, and stays small.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.prefect_server import embedded_home, prefect_server
from deployments.with_parent import child
from models.errors import PrefectError
from models.settings import Settings

READY_SECONDS = 120.0
LEFT_BEHIND_SECONDS = 60.0
READY_DESCRIPTOR = "AVATARS_READY_DESCRIPTOR"
"""Names the descriptor to which the runner writes one line once every deployment is registered: the base URL of
its webhook receiver, empty where it has none."""
WEBHOOK_PORT_HINT = "set AVATARS_WEBHOOK_PORT to another one; 0 takes a free one"


@dataclass(frozen=True)
class Stack:
    """A running stack: URLs of its Prefect API and webhook receiver, and its processes by what they are."""

    api_url: str
    webhook_url: str | None
    processes: Mapping[str, subprocess.Popen[bytes]]

    def require_all(self) -> None:
        """Raise PrefectError where one of its processes has ended by itself."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise PrefectError(
                    f"the {name} ended with {process.returncode}",
                    hint="start `avatars up` again: what was under way goes on",
                )


@contextlib.contextmanager
def embedded_stack(say: Callable[[str], None], port: int, settings: Settings) -> Iterator[Stack]:
    """Run the stack while the context is open; it is ready when it is yielded.

    Afterwards no process of it is left, and no run that claims to run: those it ended start again with the next
    stack, from what the ledger tells. One stack a Prefect API; for more machines there are work pools. `port` is
    that of a Prefect server, started where none is configured. Raises SettingsError where that is taken or there
    can be no API key, and PrefectError where the stack does not become ready.
    """
    with contextlib.ExitStack() as stack:
        processes: dict[str, subprocess.Popen[bytes]] = {}
        configured, password, database, may_keep_blocks = _access()
        if not settings.avatars_credentials_block or not may_keep_blocks:
            settings.require_api_key()
        if configured:
            url = configured
        else:
            home = embedded_home()
            stack.enter_context(_alone_in(home))
            say("no Prefect API is configured: starting one on loopback")
            server = stack.enter_context(prefect_server(home, port, database=database, password=password))
            url, processes["Prefect server"] = server.url, server.process
        # Prefect's API keeps what runs tell; here only what stands in the way of all of them is of use.
        told = {"PREFECT_API_URL": url, **password, "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
        stack.callback(_take_up_what_was_ended, told, processes)
        processes["runner"], webhook_url = stack.enter_context(_runner(told))
        yield Stack(url, webhook_url, processes)


@contextlib.contextmanager
def _alone_in(home: Path) -> Iterator[None]:
    """Keep another stack away from the same home: it would take the runs of this one for dead ones.

    Raises PrefectError where another one is there.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home / "stack.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PrefectError(
                f"`avatars up` runs already, with its Prefect database in {home}",
                hint="end it, or give this one a PREFECT_HOME and an AVATARS_DATABASE_URL of its own",
            ) from None
        yield


@contextlib.contextmanager
def _runner(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], str | None]]:
    ready, tell = os.pipe()
    told = {**environment, READY_DESCRIPTOR: str(tell)}
    with child("deployments.runner", output=None, environment=told, pass_fds=(tell,)) as runner:
        os.close(tell)
        try:
            # A line: ready. The end of the pipe: the runner has ended. Nothing: it hangs.
            waiting, _, _ = select.select([ready], [], [], READY_SECONDS)
            line = os.read(ready, select.PIPE_BUF) if waiting else b""
        finally:
            os.close(ready)
        if not line:
            raise PrefectError(f"the runner did not start (exit code {runner.poll()})", hint="see what it printed")
        yield runner, line.decode().strip() or None


def _access() -> tuple[str | None, dict[str, str], dict[str, str], bool]:
    """Return the URL of the configured Prefect API, if any, password and database of one that we would start, and
    whether either may keep a block.

    Raises PrefectError where the configured one does not answer, or not us.
    """
    answer = subprocess.run(  # our own interpreter and module
        [sys.executable, "-m", "deployments.prefect_access"], capture_output=True, text=True, check=False
    )
    if answer.returncode:
        raise PrefectError("Prefect's settings cannot be read", hint="`prefect config view` tells what is wrong")
    told = json.loads(answer.stdout)
    if "message" in told:
        raise PrefectError(told["message"], hint=told["hint"])
    return told["url"], told["password"], told["database"], told["blocks"]


def _take_up_what_was_ended(environment: dict[str, str], processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    server = processes.get("Prefect server")
    if server is not None and server.poll() is not None:
        return  # nobody to tell; the next stack does so when it starts
    with contextlib.suppress(subprocess.TimeoutExpired):  # a configured server that went away: as above
        subprocess.run(  # our own interpreter and module
            [sys.executable, "-m", "deployments.left_behind"],
            env={**os.environ, **environment},
            timeout=LEFT_BEHIND_SECONDS,
            check=False,
        )
