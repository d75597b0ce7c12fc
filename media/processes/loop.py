"""The main loop of a child process that inspects recordings: jobs on stdin, answers on stdout, until stdin ends.

It limits itself, so that the limits hold whatever native code does, and also if the parent was killed.
The modules that call it get the limits as arguments: CPU_SECONDS WALL_SECONDS MEMORY_BYTES.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator

from media.processes.messages import OUT_OF_MEMORY_EXIT_CODE, Job, encode_answer, read_job

MAX_OPEN_FILES = 16
"""The two pipes and stderr, and what the interpreter opens for a late import."""


def answer_jobs(inspect: Callable[[Job], object]) -> None:
    """Answer the jobs on stdin with what `inspect` returns, a dataclass, within the limits of the arguments."""
    cpu_seconds, wall_seconds, memory_bytes = sys.argv[1:4]
    try:
        _run(inspect, float(cpu_seconds), float(wall_seconds), int(memory_bytes))
    except MemoryError:
        os._exit(OUT_OF_MEMORY_EXIT_CODE)


def _run(inspect: Callable[[Job], object], cpu_seconds: float, wall_seconds: float, memory_bytes: int) -> None:
    _limit_process(memory_bytes)
    _reset_signals()
    jobs = os.fdopen(0, "rb", closefd=False)
    # What a library prints must not get into the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while (job := read_job(jobs)) is not None:
        with _time_limits(cpu_seconds, wall_seconds):
            answer = encode_answer(inspect(job))
        del job  # the next one is read before the name is assigned
        answers.write(answer)
        answers.flush()


def _limit_process(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_OPEN_FILES, MAX_OPEN_FILES))
    # macOS rejects a limit of the address space below what a process has mapped, and that is the
    # size of its shared libraries. The limit of each allocation still applies.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _reset_signals() -> None:
    """Make the signals of the timers and of a closed pipe end the process, whatever it inherited."""
    ending = {signal.SIGPROF, signal.SIGALRM, signal.SIGPIPE, signal.SIGTERM}
    for number in ending:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ending)


@contextlib.contextmanager
def _time_limits(cpu_seconds: float, wall_seconds: float) -> Iterator[None]:
    """End the process if the block takes longer. The default action of a signal needs no Python code to run."""
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    signal.setitimer(signal.ITIMER_REAL, wall_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
