"""The child processes that read images.

They are not those of FFmpeg: a process that reads images only is smaller, and starts faster.
docs/adr/0014-ffmpeg-processes.md tells why child processes read the bytes of strangers.
"""

from __future__ import annotations

import atexit
import functools

from pydantic import TypeAdapter

from media.images.inspection import ImageInspection
from media.processes.available_bytes import AvailableBytes
from media.processes.child import Program
from media.processes.messages import InspectionLimits, Job
from media.processes.pool import ChildPool

PILLOW = Program("media.images.image_process", "Pillow", TypeAdapter(ImageInspection))
IMAGE_LIMITS = InspectionLimits(memory_bytes=512 * 1024 * 1024)
"""Address space: 60 MB for Python and Pillow, 30 MB for the bytes, and up to 200 MB to decode a picture of 4K."""


class ImagePool(ChildPool[ImageInspection]):
    """A pool of child processes that inspect images; see ChildPool."""

    def __init__(self, *, limits: InspectionLimits = IMAGE_LIMITS, size: int | None = None) -> None:
        super().__init__(PILLOW, limits=limits, size=size)

    def inspect(self, available: AvailableBytes) -> ImageInspection:
        """Inspect the bytes in a child process, and once more in a new one if it fails. Blocks.

        Raises:
            InspectionFailed: If both child processes ended or exceeded a limit.
        """
        return self.run(Job(available))


@functools.cache
def _shared_pool() -> ImagePool:
    pool = ImagePool()
    atexit.register(pool.close)
    return pool


def inspect_image_in_child(available: AvailableBytes) -> ImageInspection:
    """Inspect the bytes in the pool of this process, which all checks share; see ImagePool.inspect."""
    return _shared_pool().inspect(available)
