"""The lines of an event archive, and the result of writing one."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from models.provisioning import ProvisioningEvent, Status

ARCHIVE_ACTOR = "archive"
"""The actor of the events that record an archive. These events are never archived and keep their messages."""
ARCHIVABLE_STATUSES = frozenset(status for status in Status if status.is_terminal) - {
    Status.TIMED_OUT,
    Status.CANCELLED,
}
"""The statuses of provisionings whose events are archived: reconciliation no longer polls them.

A person may re-open some of them. The rules for that need no events (`callers` in models/tables.py).
"""

_MOVED = re.compile(r"moved to the archive (?P<file>.+), SHA-256 (?P<sha256>[0-9a-f]{64})$")


class ArchivedEvent(ProvisioningEvent):
    """An event as one line of JSON, with its own id and the id of its provisioning."""

    id: int
    provisioning_id: str


class ArchiveResult(BaseModel):
    """What was archived, or would be. `file` and `sha256` are None if nothing was written."""

    model_config = ConfigDict(frozen=True)

    before: datetime
    provisionings: int
    events: int
    deliveries: int
    file: str | None = None
    sha256: str | None = None
    erased_provisioning_ids: list[str] = []
    """Provisionings erased while the archive was written: the file may hold their personal data."""


def archive_event_message(count: int, newest: datetime, file: str, sha256: str) -> str:
    """Return the message of the event that replaces archived events in the ledger.

    Args:
        count: How many events were moved.
        newest: The time of the newest one, in UTC.
        file: The path of the archive file.
        sha256: The SHA-256 of the archive file, as hex digits.
    """
    events = "1 event" if count == 1 else f"{count} events"
    return f"{events} until {newest:%Y-%m-%d %H:%M:%S} UTC moved to the archive {file}, SHA-256 {sha256}"


class ArchiveRecord(BaseModel):
    """What the ledger records about an archive file. Earlier versions recorded its name without its folder."""

    model_config = ConfigDict(frozen=True)

    file: Path
    sha256: str

    @classmethod
    def parse(cls, message: str) -> ArchiveRecord | None:
        """Return the record in the message of an archive's event; None if it has none."""
        match = _MOVED.search(message)
        return cls.model_validate(match.groupdict()) if match else None
