"""The messages between the pool and a child process, and the limits of one job.

A job is the length of a JSON header (4 bytes), the header, and the blocks of bytes. An answer is the
length of a JSON document (4 bytes) and the document, for example an Inspection.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Protocol

from media.processes.available_bytes import AvailableBytes

LENGTH = struct.Struct(">I")
MAX_ANSWER_BYTES = 64 * 1024
"""The facts of MAX_TRACKS tracks take a sixth of this."""
OUT_OF_MEMORY_EXIT_CODE = 12
"""ENOMEM. The child process ends with it if a job does not fit into its memory."""


@dataclass(frozen=True)
class InspectionLimits:
    """The limits of one job. The child process applies all but the last to itself, so that they outlive its parent.

    Attributes:
        cpu_seconds: A video of 15 KB whose 24 tracks claim a million frames each takes 6 seconds; a frame of 8K
            takes 0.3.
        wall_seconds: The same on a busy machine.
        memory_bytes: Address space: 125 MB for Python and FFmpeg, 100 MB for the bytes fetched, 90 MB for
            an 8K picture, and the rest for the tables of the index, up to 36 MiB each.
        backstop_seconds: After this time without an answer the parent kills the child process: a stopped
            process does not receive the signal of its own timer. It includes the start of the process.
    """

    cpu_seconds: float = 20.0
    wall_seconds: float = 60.0
    memory_bytes: int = 768 * 1024 * 1024
    backstop_seconds: float = 90.0


DEFAULT_INSPECTION_LIMITS = InspectionLimits()


@dataclass(frozen=True)
class Job:
    """The bytes to inspect; of a video also the index of the stream to decode (None: the only one)."""

    available: AvailableBytes
    stream: int | None = None


class Readable(Protocol):
    """A pipe; reads return fewer bytes than asked if no more have arrived, and none at its end."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""


def encode_job(job: Job) -> list[bytes]:
    """Return the parts of the message; the blocks are not copied."""
    header = json.dumps(
        {
            "size": job.available.size,
            "stream": job.stream,
            "blocks": [[offset, len(data)] for offset, data in job.available.blocks],
        }
    ).encode()
    return [LENGTH.pack(len(header)) + header, *(data for _, data in job.available.blocks)]


def read_job(pipe: Readable) -> Job | None:
    """Read the next job; None if the parent closed the pipe or ended, also in the middle of a job."""
    if (header_bytes := _read_prefixed(pipe)) is None:
        return None
    header = json.loads(header_bytes)
    blocks = []
    for offset, size in header["blocks"]:
        if (data := _read_exactly(pipe, size)) is None:
            return None
        blocks.append((offset, data))
    return Job(AvailableBytes(header["size"], tuple(blocks)), header["stream"])


def encode_answer(answer: object) -> bytes:
    """Return the message with an answer, a dataclass."""
    document = json.dumps(answer, default=vars).encode()
    return LENGTH.pack(len(document)) + document


def read_answer(pipe: Readable) -> bytes | None:
    """Read the JSON document of an answer; None if the child process ended or claims too long an answer."""
    return _read_prefixed(pipe, MAX_ANSWER_BYTES)


def _read_prefixed(pipe: Readable, limit: int | None = None) -> bytes | None:
    prefix = _read_exactly(pipe, LENGTH.size)
    if prefix is None:
        return None
    (length,) = LENGTH.unpack(prefix)
    return None if limit is not None and length > limit else _read_exactly(pipe, length)


def _read_exactly(pipe: Readable, size: int) -> bytes | None:
    """Return the next bytes, None if the pipe ends before. An unbuffered pipe returns fewer at once."""
    data = bytearray()
    while len(data) < size:
        if not (part := pipe.read(size - len(data))):
            return None
        data += part
    return bytes(data)
