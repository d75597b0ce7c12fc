"""The child process that reads images; see media/processes/loop.py.

Usage: `python -m media.images.image_process CPU_SECONDS WALL_SECONDS MEMORY_BYTES`.
"""

from __future__ import annotations

from media.images.image_inspector import inspect_image
from media.processes.loop import answer_jobs

if __name__ == "__main__":
    answer_jobs(lambda job: inspect_image(job.available))
