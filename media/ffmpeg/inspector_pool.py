"""The child processes that run FFmpeg.

docs/adr/0014-ffmpeg-processes.md tells why.
"""

from __future__ import annotations

import atexit
import functools

from pydantic import TypeAdapter

from media.ffmpeg.inspection import Inspection
from media.processes.available_bytes import AvailableBytes
from media.processes.child import Program
from media.processes.messages import DEFAULT_INSPECTION_LIMITS, InspectionLimits, Job
from media.processes.pool import IDLE_SECONDS, JOBS_PER_CHILD, SHARING_SECONDS, ChildPool

FFMPEG = Program("media.ffmpeg.inspector_process", "FFmpeg", TypeAdapter(Inspection))


class InspectorPool(ChildPool[Inspection]):
    """A pool of child processes that inspect videos; see ChildPool."""

    def __init__(
        self,
        *,
        limits: InspectionLimits = DEFAULT_INSPECTION_LIMITS,
        size: int | None = None,
        jobs_per_child: int = JOBS_PER_CHILD,
        idle_seconds: float = IDLE_SECONDS,
        sharing_seconds: float = SHARING_SECONDS,
    ) -> None:
        super().__init__(
            FFMPEG,
            limits=limits,
            size=size,
            jobs_per_child=jobs_per_child,
            idle_seconds=idle_seconds,
            sharing_seconds=sharing_seconds,
        )

    def inspect(self, available: AvailableBytes, stream: int | None = None) -> Inspection:
        """Inspect the bytes in a child process, and once more in a new one if it fails. Blocks.

        Args:
            available: The bytes.
            stream: The index of the video stream to decode; see Inspect.

        Raises:
            InspectionFailed: If both child processes ended or exceeded a limit.
        """
        return self.run(Job(available, stream))


@functools.cache
def _shared_pool() -> InspectorPool:
    pool = InspectorPool()
    atexit.register(pool.close)
    return pool


def inspect_in_child(available: AvailableBytes, stream: int | None = None) -> Inspection:
    """Inspect the bytes in the pool of this process, which all checks share; see InspectorPool.inspect."""
    return _shared_pool().inspect(available, stream)
