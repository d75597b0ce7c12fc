"""The child process that runs FFmpeg; see media/processes/loop.py.

Usage: `python -m media.ffmpeg.inspector_process CPU_SECONDS WALL_SECONDS MEMORY_BYTES`.
"""

from __future__ import annotations

import errno
import os

from media.ffmpeg.inspection import Inspection
from media.ffmpeg.inspector import inspect
from media.processes.loop import answer_jobs
from media.processes.messages import Job


def _inspect(job: Job) -> Inspection:
    try:
        return inspect(job.available, job.stream)
    except MemoryError:
        # The same result as if FFmpeg itself gets no memory: the limit is the same for each attempt.
        return Inspection(error=os.strerror(errno.ENOMEM))


if __name__ == "__main__":
    answer_jobs(_inspect)
