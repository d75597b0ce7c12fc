"""Child processes that inspect recordings, so that no recording can freeze, crash or fill this process.

docs/adr/0014-ffmpeg-processes.md tells why.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Generic, Self

from media.processes.available_bytes import InspectionFailed
from media.processes.child import Answer, InspectorChild, Program
from media.processes.messages import DEFAULT_INSPECTION_LIMITS, InspectionLimits, Job, encode_job

MAX_CHILDREN = 4
"""Reading an index takes a few milliseconds, its download longer: the 8 concurrent checks can take turns."""
SHARING_SECONDS = 1.0
"""Two jobs, as of the two recordings of a request, share a child process for this time: another one would take
longer to start than to work. Then one recording delays the other, and each job gets its own."""
JOBS_PER_CHILD = 500
"""Bounds what the library may leak. A start takes about 0.15 s of CPU."""
IDLE_SECONDS = 10.0
"""An idle child process takes 40 to 65 MB, and a process may wait hours for trainings."""
ATTEMPTS = 2
"""A child process can fail for a reason outside the recording, for example if the system lacks memory."""


class ChildPool(Generic[Answer]):
    """A thread-safe pool of child processes, started when needed. Close it, or use it as a context manager.

    Idle child processes end after a while. All end with this process, however it ends.

    Args:
        program: What the child processes run.
        limits: The limits of each job.
        size: The maximum number of child processes.
        jobs_per_child: The number of jobs after which one is replaced.
        idle_seconds: The time until an idle one is ended.
        sharing_seconds: The time for which a job waits for the child process of another one.
    """

    def __init__(
        self,
        program: Program[Answer],
        *,
        limits: InspectionLimits = DEFAULT_INSPECTION_LIMITS,
        size: int | None = None,
        jobs_per_child: int = JOBS_PER_CHILD,
        idle_seconds: float = IDLE_SECONDS,
        sharing_seconds: float = SHARING_SECONDS,
    ) -> None:
        self._program = program
        self._limits = limits
        self._size = size or min(os.cpu_count() or 1, MAX_CHILDREN)
        self._jobs_per_child = jobs_per_child
        self._idle_seconds = idle_seconds
        self._sharing_seconds = sharing_seconds
        self._start_empty()
        reference = weakref.WeakMethod(self._abandon)
        os.register_at_fork(after_in_child=lambda: (abandon := reference()) and abandon())

    def _start_empty(self) -> None:
        self._is_closed = False
        # A fork copies locks in the state in which other threads hold them.
        self._turns = threading.Condition()
        self._wanted = self._running = 0
        self._lock: threading.Lock = threading.Lock()
        self._idle: list[InspectorChild[Answer]] = []
        self._idle_timer: threading.Timer | None = None
        self._children: set[InspectorChild[Answer]] = set()

    def run(self, job: Job) -> Answer:
        """Run a job in a child process, and once more in a new one if it fails. Blocks.

        Raises:
            InspectionFailed: If both child processes ended or exceeded a limit.
        """
        message = encode_job(job)
        with self._turn():
            for number in range(ATTEMPTS - 1):
                with contextlib.suppress(InspectionFailed):
                    return self._run(message, is_retry=number > 0)
            try:
                return self._run(message, is_retry=True)
            except InspectionFailed as error:
                raise InspectionFailed(f"{error}, in {ATTEMPTS} attempts") from error

    def close(self) -> None:
        """End all child processes. Jobs that still run fail."""
        with self._lock:
            self._is_closed = True
            idle = list(self._idle)
            self._idle.clear()
            busy = self._children.difference(idle)
            if self._idle_timer is not None:
                self._idle_timer.cancel()
        for child in idle:
            self._end(child)
        for child in busy:
            child.kill()  # its thread closes the pipes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait until one more job may run."""
        with self._turns:
            self._wanted += 1
            self._turns.notify_all()  # more wanted jobs may mean more child processes
            try:
                self._turns.wait_for(self._may_share, self._sharing_seconds)
                self._turns.wait_for(lambda: self._running < self._size)
            except BaseException:
                self._wanted -= 1
                raise
            self._running += 1
        try:
            yield
        finally:
            with self._turns:
                self._wanted -= 1
                self._running -= 1
                self._turns.notify_all()

    def _may_share(self) -> bool:
        return self._running < min(self._size, (self._wanted + 1) // 2)

    def _run(self, message: list[bytes], *, is_retry: bool) -> Answer:
        child = self._take(must_be_new=is_retry)
        try:
            answer = child.run(message)
        except BaseException:
            self._end(child)
            raise
        self._give_back(child)
        return answer

    def _take(self, *, must_be_new: bool) -> InspectorChild[Answer]:
        """Return an idle child process that is alive, or a new one. A retry ends the idle ones, too."""
        while True:
            with self._lock:
                if not self._idle:
                    break
                child = self._idle.pop()
            if child.is_alive and not must_be_new:
                return child
            self._end(child)
        # Only a failed start, or the end of the pool, comes between: `_turn` limits their number.
        child = InspectorChild(self._program, self._limits)
        with self._lock:
            self._children.add(child)
            is_closed = self._is_closed
        if is_closed:
            self._end(child)
            raise InspectionFailed(f"the pool of {self._program.library}'s processes is closed")
        return child

    def _give_back(self, child: InspectorChild[Answer]) -> None:
        with self._lock:
            is_kept = not self._is_closed and child.jobs < self._jobs_per_child
            if is_kept:
                child.idle_since = time.monotonic()
                self._idle.append(child)
                self._schedule_idle_check()
        if not is_kept:
            self._end(child)

    def _schedule_idle_check(self) -> None:
        """Start the only timer, unless it runs: a timer per job would cost more than the job. Call it locked."""
        if self._idle_timer is None and self._idle:
            oldest = min(child.idle_since for child in self._idle)
            delay = max(oldest + self._idle_seconds - time.monotonic(), 0)
            self._idle_timer = threading.Timer(delay, self._end_idle)
            self._idle_timer.daemon = True  # it does not delay the end of this process
            self._idle_timer.start()

    def _end_idle(self) -> None:
        expired = time.monotonic() - self._idle_seconds
        with self._lock:
            ended = [child for child in self._idle if child.idle_since <= expired]
            self._idle = [child for child in self._idle if child.idle_since > expired]
            self._idle_timer = None
            if not self._is_closed:
                self._schedule_idle_check()
        for child in ended:
            self._end(child)

    def _end(self, child: InspectorChild[Answer]) -> None:
        child.end()
        with self._lock:
            self._children.discard(child)

    def _abandon(self) -> None:
        """In a fork of this process: give up the child processes, which belong to the parent."""
        for child in self._children:
            child.abandon()
        self._start_empty()
