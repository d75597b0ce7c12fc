"""One child process that inspects recordings, seen from its parent: its start, its jobs, its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

from pydantic import TypeAdapter, ValidationError

from media.inspection import Inspection, InspectionFailed
from media.inspector_messages import OUT_OF_MEMORY_EXIT_CODE, InspectionLimits, read_answer
from models.child_environment import INSPECTOR, python_command
from models.media_rules import MIB

EXIT_SECONDS = 5.0
"""A process that closed its pipe is about to end; its exit code tells why."""

_INSPECTION = TypeAdapter(Inspection)


class InspectorChild:
    """A child process. One thread at a time may use it; any thread may kill it.

    Raises:
        InspectionFailed: On creation, if the system starts no process.
    """

    def __init__(self, limits: InspectionLimits) -> None:
        self.jobs = 0
        self._limits = limits
        self._timed_out = False
        self._idle_timer: threading.Timer | None = None
        arguments = (str(limits.cpu_seconds), str(limits.wall_seconds), str(limits.memory_bytes))
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                python_command("media.inspector_process", *arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,  # a fork closes the pipe; a buffer could be written to its number later
                env={**INSPECTOR.select(os.environ), "PYTHONPATH": _import_path()},
                cwd="/",
                start_new_session=True,  # Ctrl-C reaches only the parent
            )
        except OSError as error:
            raise InspectionFailed(f"FFmpeg's process cannot be started: {error.strerror}") from error
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._stdout = cast("IO[bytes]", self._process.stdout)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def run(self, job: list[bytes]) -> Inspection:
        """Send the parts of a job, and return the answer.

        Raises:
            InspectionFailed: If the process ended, exceeded a limit or gave an invalid answer. End it then.
        """
        self.jobs += 1
        backstop = _start_timer(self._limits.backstop_seconds, self._time_out)
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended; the answer is missing
                for part in job:
                    _write(self._stdin, part)
            answer = read_answer(self._stdout)
        finally:
            backstop.cancel()
        if answer is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(EXIT_SECONDS)
            self.kill()
            raise InspectionFailed(self._cause_of_end())
        try:
            return _INSPECTION.validate_json(answer)
        except ValidationError:
            raise InspectionFailed("FFmpeg's process gave an invalid answer") from None

    def start_idle_timer(self, seconds: float, action: Callable[[], None]) -> None:
        """Call the action after this time, in a thread."""
        self._idle_timer = _start_timer(seconds, action)

    def stop_idle_timer(self) -> None:
        """Do not call the action."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()

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

    def _time_out(self) -> None:
        self._timed_out = True
        self._process.kill()

    def _cause_of_end(self) -> str:
        limits, code = self._limits, self._process.returncode
        limit = {
            -signal.SIGPROF: f"{limits.cpu_seconds:g} s of CPU time",
            -signal.SIGALRM: f"{limits.wall_seconds:g} s",
            OUT_OF_MEMORY_EXIT_CODE: f"{limits.memory_bytes // MIB:,} MiB of memory",
        }.get(code)
        if self._timed_out:
            limit = f"{limits.backstop_seconds:g} s"
        if limit is not None:
            return f"FFmpeg did not read it within {limit}"
        return (
            f"FFmpeg's process was ended by {_signal_name(-code)}"
            if code < 0
            else f"FFmpeg's process ended ({code})"
        )


def _write(pipe: IO[bytes], data: bytes) -> None:
    """Write everything: an unbuffered pipe may accept less."""
    rest = memoryview(data)
    while rest:
        rest = rest[pipe.write(rest) :]


def _start_timer(seconds: float, action: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, action)
    timer.daemon = True  # it does not delay the end of this process
    timer.start()
    return timer


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _import_path() -> str:
    """Return this process's own import path, so that the child process has the same modules, however installed."""
    return os.pathsep.join(path for path in sys.path if Path(path).is_absolute())
