"""Runs a module in its own process group and ends the group when the parent process dies.

Usage: `python -m deployments.embedded.child_process MODULE ...`. The parent holds the write end of the child's
standard input, so the pipe closes however the parent dies.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from models.environment.child_environment import InheritedVariables, python_command
from services.prefect_api.redaction_hooks import install_redaction

READY_SECONDS = 120.0
"""A child that is not ready after this time has failed to start."""
TERMINATION_TIMEOUT_SECONDS = 5.0
_KILL_LATER = 'sleep "$1"; kill -s KILL -- "-$2"'
LOW_MEMORY_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""Settings for glibc, which by default keeps freed memory in one arena per thread. These processes run for long."""


def _exit_with_parent() -> None:
    # Read the descriptor: a thread blocked in sys.stdin would hold its lock when the interpreter shuts down.
    while os.read(0, 4096):
        pass
    group = os.getpgid(0)
    # The rest of the group may outlive SIGTERM and this process, for example a run that waits for the server.
    with contextlib.suppress(OSError):  # for example no memory, which may have ended the parent
        subprocess.Popen(  # noqa: S603  # constants and numbers
            ("/bin/sh", "-c", _KILL_LATER, "sh", f"{TERMINATION_TIMEOUT_SECONDS:.0f}", str(group)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    os.killpg(group, signal.SIGTERM)


@contextlib.contextmanager
def run_child(
    *args: str,
    output: IO[bytes] | None,
    inherited: InheritedVariables,
    environment: Mapping[str, str],
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module as a child process while the context is open.

    On exit the process group gets SIGTERM, and SIGKILL after TERMINATION_TIMEOUT_SECONDS.

    Args:
        *args: The module and its arguments.
        output: Receives stdout and stderr of the child; None: the stderr of this process.
        inherited: The variables that the child receives from this process.
        environment: Variables to add to them.
        pass_fds: File descriptors that the child inherits.
    """
    process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
        python_command("deployments.embedded.child_process", *args),
        stdin=subprocess.PIPE,
        stdout=output or sys.stderr.fileno(),
        stderr=output or sys.stderr.fileno(),
        env={**LOW_MEMORY_ENVIRONMENT, **inherited.select(os.environ), **environment},
        pass_fds=pass_fds,
        start_new_session=True,  # Ctrl-C reaches only the parent, which decides the order of shutdown
    )
    try:
        yield process
    finally:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(TERMINATION_TIMEOUT_SECONDS)
        _signal_group(process, signal.SIGKILL)  # processes that the child started may have outlived it
        process.wait()
        if process.stdin:
            process.stdin.close()


def describe_failed_start(name: str, exit_code: int | None) -> str:
    """Return what became of a child that is not ready: it exited, or it still starts after READY_SECONDS."""
    if exit_code is None:
        return f"{name} is not ready after {READY_SECONDS:.0f} seconds"
    return f"{name} did not start (exit code {exit_code})"


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


if __name__ == "__main__":
    install_redaction()
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
