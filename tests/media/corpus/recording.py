"""What the corpus says about one recording: how to make it, and what the check must answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from models.media.rules import MediaRole

CONSENT, DATASET = MediaRole.CONSENT, MediaRole.DATASET
Edit = Callable[[bytes], bytes]


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording that Debian's ffmpeg makes, or that Python makes from bytes.

    Attributes:
        name: A unique name, which is the id of the test.
        arguments: The arguments of ffmpeg without the output, split as a shell does. `{name}` stands for the path
            of a source in sources.py. Empty if `edit` makes the whole file from nothing.
        suffix: The extension of the output, from which ffmpeg infers the container.
        edit: Changes the bytes that ffmpeg wrote.
        role: The rules to check against. A consent may be short and small, so most recordings are.
        reasons: The codes (without the role) of all expected reasons.
        warnings: The codes of all expected warnings.
        facts: Facts that must differ from those of ffprobe, keyed by the fields of MediaFacts.
        because: Why they differ, in one sentence.
    """

    name: str
    arguments: str = ""
    suffix: str = "mp4"
    edit: Edit | None = None
    role: MediaRole = CONSENT
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    because: str = ""
