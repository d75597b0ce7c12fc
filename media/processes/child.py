"""One child process that inspects recordings, seen from its parent: its start, its jobs, its end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from media.processes.available_bytes import InspectionFailed
from media.processes.messages import OUT_OF_MEMORY_EXIT_CODE, InspectionLimits, read_answer
from models.environment.child_environment import INSPECTOR, python_command
from models.media.rules import MIB

EXIT_SECONDS = 5.0
"""A process that closed its pipe is about to end; its exit code tells why."""

_MEMORY_REUSE = {"MALLOC_MMAP_THRESHOLD_": str(32 * MIB), "MALLOC_TRIM_THRESHOLD_": str(32 * MIB)}
"""Settings of glibc: it keeps freed memory for the next job. Mapping each picture again takes half of the time."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Program(Generic[Answer]):
    """What a child process runs.

    Attributes:
        module: The module whose main loop answers jobs; see media/processes/loop.py.
        library: The library that reads the bytes, as messages name it.
        answer: Validates the answers.
    """

    module: str
    library: str
    answer: TypeAdapter[Answer]


class InspectorChild(Generic[Answer]):
    """A child process. One thread at a time may use it; any thread may kill it.

    `jobs` counts its jobs; the pool sets `idle_since`, in seconds of the monotonic clock.

    Raises:
        InspectionFailed: On creation, if the system starts no process.
    """

    def __init__(self, program: Program[Answer], limits: InspectionLimits) -> None:
        self.jobs = 0
        self._program = program
        self._limits = limits
        self.idle_since = 0.0
        arguments = (str(limits.cpu_seconds), str(limits.wall_seconds), str(limits.memory_bytes))
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                python_command(program.module, *arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,  # a fork closes the pipe; a buffer could be written to its number later
                env={**_MEMORY_REUSE, **INSPECTOR.select(os.environ), "PYTHONPATH": _import_path()},
                cwd="/",
                start_new_session=True,  # Ctrl-C reaches only the parent
            )
        except OSError as error:
            raise InspectionFailed(f"{program.library}'s process cannot be started: {error.strerror}") from error
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._stdout = cast("IO[bytes]", self._process.stdout)
        # A write ends if the process does not read; reads wait for data before.
        os.set_blocking(self._stdin.fileno(), False)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def run(self, job: list[bytes]) -> Answer:
        """Send the parts of a job, and return the answer.

        Raises:
            InspectionFailed: If the process ended, exceeded a limit or gave an invalid answer. End it then.
        """
        self.jobs += 1
        deadline = time.monotonic() + self._limits.backstop_seconds
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended; the answer is missing
                for part in job:
                    _write(self._stdin, part, deadline)
            answer = read_answer(_WaitingReader(self._stdout, deadline))
        except TimeoutError:
            self.kill()
            library, seconds = self._program.library, self._limits.backstop_seconds
            raise InspectionFailed(f"{library} did not read it within {seconds:g} s") from None
        if answer is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(EXIT_SECONDS)
            self.kill()
            raise InspectionFailed(self._cause_of_end())
        try:
            return self._program.answer.validate_json(answer)
        except ValidationError:
            raise InspectionFailed(f"{self._program.library}'s process gave an invalid answer") from None

    def kill(self) -> None:
        """End the process, and wait for its end. It has no state to save."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """End the process and close the pipes to it."""
        self.kill()
        self._stdin.close()
        self._stdout.close()

    def abandon(self) -> None:
        """In a fork of the parent: close its copy of the pipe, so that the process ends with its parent."""
        self._stdin.close()
        self._process.returncode = 0  # it is not a child of this process, which cannot wait for it

    def _cause_of_end(self) -> str:
        limits, code, library = self._limits, self._process.returncode, self._program.library
        limit = {
            -signal.SIGPROF: f"{limits.cpu_seconds:g} s of CPU time",
            -signal.SIGALRM: f"{limits.wall_seconds:g} s",
            OUT_OF_MEMORY_EXIT_CODE: f"{limits.memory_bytes // MIB:,} MiB of memory",
        }.get(code)
        if limit is not None:
            return f"{library} did not read it within {limit}"
        return (
            f"{library}'s process was ended by {_signal_name(-code)}"
            if code < 0
            else f"{library}'s process ended ({code})"
        )


class _WaitingReader:
    """Reads a pipe as it fills. A thread with a timer would cost more than all else in this process."""

    def __init__(self, pipe: IO[bytes], deadline: float) -> None:
        self._pipe = pipe
        self._deadline = deadline

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; none at the end. Raises TimeoutError."""
        _wait(self._pipe, select.POLLIN, self._deadline)
        return self._pipe.read(size)


def _write(pipe: IO[bytes], data: bytes, deadline: float) -> None:
    """Write everything: an unbuffered pipe may accept less, or nothing (None). Raises TimeoutError."""
    rest = memoryview(data)
    while rest:
        _wait(pipe, select.POLLOUT, deadline)
        rest = rest[pipe.write(rest) or 0 :]


def _wait(pipe: IO[bytes], event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(pipe, event)
    if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
        raise TimeoutError


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _import_path() -> str:
    """Return this process's own import path, so that the child process has the same modules, however installed."""
    return os.pathsep.join(path for path in sys.path if Path(path).is_absolute())
