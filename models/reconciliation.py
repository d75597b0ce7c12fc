"""The result of one reconciliation pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from models.text.plural import counted


@dataclass(frozen=True, slots=True)
class ReconcileResult:
    """Counts of one run of `reconcile-avatars`."""

    resumed: int = 0
    """Flow runs that were resumed, or ended with the outcome of their provisioning."""
    advanced: int = 0
    """Orphaned provisionings that this run advanced itself."""
    cancelled: int = 0
    """Provisionings whose cancelled flow run was recorded as CANCELLED."""
    by_status: dict[str, int] = field(default_factory=dict)
    """Advanced provisionings by the status they reached, or by the code of the error that stopped them."""
    note: str = ""
    """Why this run did less than usual; empty if it went through the whole ledger."""
    unknown_avatars: int = 0
    """Avatars at Argil that the ledger does not know and about which no person has decided."""
    voices: int = 0
    """Voices that were found later than READY."""

    @property
    def has_changes(self) -> bool:
        """Whether this run changed anything."""
        return bool(self.resumed or self.advanced or self.cancelled or self.voices)

    @property
    def summary(self) -> str:
        """The counts as one line for people."""
        unknown = f"; {counted(self.unknown_avatars, 'unknown avatar')}" if self.unknown_avatars else ""
        if self.note and not self.has_changes:
            return f"{self.note}{unknown}"
        voices = f"; {counted(self.voices, 'voice')} found" if self.voices else ""
        counts = (
            f"{counted(self.resumed, 'run')} resumed; {counted(self.advanced, 'orphaned provisioning')} advanced; "
            f"{self.cancelled:,} cancelled{format_counts(self.by_status)}{voices}{unknown}"
        )
        return f"{counts}; {self.note}" if self.note else counts

    def to_json(self) -> dict[str, Any]:
        """Return the counts as JSON values, as `avatars reconcile --json` prints them; an empty note is omitted."""
        return {name: value for name, value in asdict(self).items() if name != "note" or value}


def format_counts(counts_by_status: Counter[str] | dict[str, int]) -> str:
    """Return the counts as text to append to a message, for example `; 2 READY; 1 TRAINING`."""
    return "".join(f"; {count} {status}" for status, count in sorted(counts_by_status.items()))
