"""`python -m deployments.with_parent MODULE ...`: runs a module as its own process group that ends with its parent.

The parent holds the other end of standard input: however it dies, the pipe closes.
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

from tasks.redacted_output import redact_output

STOP_SECONDS = 5.0
SMALL = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""For glibc, which else keeps what was freed, in a pool for each thread: these processes live long."""


def _end_with_parent() -> None:
    # By the descriptor: a thread that waits inside sys.stdin would hold its lock when the interpreter ends.
    while os.read(0, 4096):
        pass
    os.killpg(os.getpgid(0), signal.SIGTERM)


@contextlib.contextmanager
def child(
    *words: str, output: IO[bytes] | None, environment: Mapping[str, str], pass_fds: Sequence[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a module with arguments while the context is open; afterwards none of its process group is left.

    It gets SIGTERM, and SIGKILL after STOP_SECONDS. `output` takes what it prints; None: our stderr.
    """
    process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
        [sys.executable, "-m", "deployments.with_parent", *words],
        stdin=subprocess.PIPE,
        stdout=output or sys.stderr.fileno(),
        stderr=output or sys.stderr.fileno(),
        env={**SMALL, **os.environ, **environment},
        pass_fds=pass_fds,
        start_new_session=True,  # Ctrl-C is for us: what ends when is ours to say
    )
    try:
        yield process
    finally:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        _signal_group(process, signal.SIGKILL)  # what it started may have outlived it
        process.wait()
        if process.stdin:
            process.stdin.close()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


if __name__ == "__main__":
    redact_output()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
