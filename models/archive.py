"""An archive of events: a line each, and what archiving them came to."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from models.provisioning import Event

ARCHIVER = "archive"
"""The actor of the events that tell of archives: they stay in the ledger, and keep their words."""


class ArchivedEvent(Event):
    """An event as one line of JSON, with its own id and that of its provisioning."""

    id: int
    provisioning_id: str


class Archived(BaseModel):
    """What was archived, or would be: `file` and `sha256` are None where nothing was written."""

    model_config = ConfigDict(frozen=True)

    before: datetime
    provisionings: int
    events: int
    deliveries: int
    file: str | None = None
    sha256: str | None = None
    forgotten: list[str] = []
    """Provisionings whose person was forgotten while the archive was written: the file may hold their words."""


def note(count: int, newest: datetime, file: str, sha256: str) -> str:
    """Return what the ledger tells of events that are no longer in it."""
    what = "1 event" if count == 1 else f"{count} events"
    return f"{what} until {newest:%Y-%m-%d %H:%M:%S} UTC moved to the archive {file}, SHA-256 {sha256}"
