"""The embedded stack: a Prefect API, every deployment, and a runner that runs them here.

Imports no Prefect: this process only starts and watches the others, and stays small.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deployments.prefect_server import embedded_home, prefect_server, require_answer
from deployments.with_parent import child
from models.errors import PrefectError

READY_SECONDS = 120.0
LEFT_BEHIND_SECONDS = 60.0
READY_DESCRIPTOR = "AVATARS_READY_DESCRIPTOR"
"""Names the descriptor to which the runner writes a byte once every deployment is registered."""

_ASK_PREFECT = "from prefect.settings import get_current_settings as s; print(s().api.url or '')"


@dataclass(frozen=True)
class Stack:
    """A running stack: the URL of its Prefect API, and the process of its runner."""

    api_url: str
    runner: subprocess.Popen[bytes]


@contextlib.contextmanager
def embedded_stack(say: Callable[[str], None], port: int) -> Iterator[Stack]:
    """Run the stack while the context is open; it is ready when it is yielded.

    Afterwards no process of it is left, and no run that claims to run: those it ended start again with the next
    stack, from what the ledger tells. One stack a Prefect API; for more machines there are work pools. `port` is
    that of a Prefect server, started where none is configured. Raises PrefectError where it does not become ready.
    """
    with contextlib.ExitStack() as stack:
        if url := _configured_api():
            require_answer(url)
        else:
            say("no Prefect API is configured: starting one on loopback")
            url = stack.enter_context(prefect_server(embedded_home(), port))
        # Prefect's API keeps what runs tell; here only what stands in the way of all of them is of use.
        environment = {"PREFECT_API_URL": url, "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}
        stack.callback(_take_up_what_was_ended, environment)
        yield Stack(url, stack.enter_context(_runner(environment)))


@contextlib.contextmanager
def _runner(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    ready, tell = os.pipe()
    told = {**environment, READY_DESCRIPTOR: str(tell)}
    with child("deployments.runner", output=None, environment=told, pass_fds=(tell,)) as runner:
        os.close(tell)
        try:
            # A byte: ready. The end of the pipe: the runner has ended. Nothing: it hangs.
            waiting, _, _ = select.select([ready], [], [], READY_SECONDS)
            if not (waiting and os.read(ready, 1)):
                raise PrefectError(
                    f"the runner did not start (exit code {runner.poll()})", hint="see what it printed"
                )
        finally:
            os.close(ready)
        yield runner


def _configured_api() -> str:
    """Return the URL of the Prefect API that the environment or the profile names, or nothing."""
    answer = subprocess.run([sys.executable, "-c", _ASK_PREFECT], capture_output=True, text=True, check=False)  # noqa: S603  # our own interpreter
    return answer.stdout.strip()


def _take_up_what_was_ended(environment: dict[str, str]) -> None:
    subprocess.run(  # our own interpreter and module
        [sys.executable, "-m", "deployments.left_behind"],
        env={**os.environ, **environment},
        timeout=LEFT_BEHIND_SECONDS,
        check=False,
    )
