"""The release of a provisioning's recordings from quarantine, as reports and the command line show it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

RELEASE_EVENT = "a person released {count} from quarantine: {reason}"
"""The message of the event that the ledger appends for a release."""


class Release(BaseModel):
    """One decision of a person to release recordings.

    Attributes:
        released_at: When, in UTC.
        reason: Who decided and why, `(erased)` after an erasure.
        recordings: The number of recordings that it released.
    """

    model_config = ConfigDict(frozen=True)

    released_at: datetime
    reason: str
    recordings: int
