"""The limits of the spend guard, as the settings give them; models/limits.py has the rules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SpendLimits:
    """How many avatars may be created; None means unlimited."""

    per_day: int | None = None
    """Submissions per UTC day."""
    per_batch: int | None = None
