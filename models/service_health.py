"""Tells from the ledger's times whether the schedule runs and Argil answers: the rules of `avatars doctor`."""

from __future__ import annotations

from datetime import datetime, timedelta

MISSED_TICKS = 5
"""After so many intervals of the schedule without a run, the schedule does not run."""
MIN_SILENCE = timedelta(minutes=10)
"""A shorter silence is not reported: a run may take minutes after an outage."""


def silence_limit(reconcile_interval_seconds: float) -> timedelta:
    """Return how long ago the last run of `reconcile-avatars`, or its last list of the account, may be."""
    return max(MIN_SILENCE, timedelta(seconds=MISSED_TICKS * reconcile_interval_seconds))


def format_age(moment: datetime | None, now: datetime) -> str:
    """Return how long ago something was, in words; a moment ahead of the clock is named as such."""
    if moment is None:
        return "never"
    seconds = (now - moment).total_seconds()
    if seconds < 0:
        return f"{_format_seconds(-seconds)} ahead of this clock"
    return f"{_format_seconds(seconds)} ago"


def schedule_problem(
    reconciled_at: datetime | None, waiting_since: datetime | None, now: datetime, limit: timedelta
) -> str | None:
    """Return that provisionings wait for a schedule that does not run; None if it runs, or if none waits.

    Args:
        reconciled_at: When the last run of `reconcile-avatars` ended; None if there was none.
        waiting_since: The earliest change of a provisioning in flight that no process advances; None without one.
        now: The current time.
        limit: See `silence_limit`.
    """
    if waiting_since is None or not _is_silent(reconciled_at, now, limit):
        return None
    if not _is_silent(waiting_since, now, limit):
        return None
    return f"provisionings wait, but the last run of reconcile-avatars was {format_age(reconciled_at, now)}"


def argil_problem(
    reconciled_at: datetime | None, listed_at: datetime | None, now: datetime, limit: timedelta
) -> str | None:
    """Return that the schedule runs, but Argil has not answered for longer than the limit; None otherwise."""
    if reconciled_at is None or _is_silent(reconciled_at, now, limit) or not _is_silent(listed_at, now, limit):
        return None
    return f"reconcile-avatars runs, but its last successful list of the account was {format_age(listed_at, now)}"


def _is_silent(moment: datetime | None, now: datetime, limit: timedelta) -> bool:
    """Whether the moment is long ago. One ahead of the clock counts as long ago: the clock was set back since."""
    return moment is None or abs(now - moment) > limit


def _format_seconds(seconds: float) -> str:
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if (count := int(seconds // length)) >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{int(seconds)} seconds"
