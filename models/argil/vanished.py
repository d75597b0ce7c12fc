"""When Argil no longer has an avatar: a rule over stored facts, because one 404 can come from a gateway.

Neither an answer of a gateway nor a key of another workspace may end trainings that go on and are paid for.
"""

from __future__ import annotations

from datetime import datetime, timedelta

MIN_TRAININGS_OF_MASS_ABSENCE = 3
"""With fewer trainings, "more than half" says nothing about the others."""


def is_gone(
    not_found_since: datetime | None, unlisted_at: datetime | None, now: datetime, gone_after: timedelta
) -> bool:
    """Return whether Argil no longer has an avatar.

    Args:
        not_found_since: Since when Argil answers 404 for it; None if the last answer was the avatar.
        unlisted_at: The start of the latest list call that succeeded, was complete and did not contain it.
        now: The time of the last 404.
        gone_after: AVATARS_GONE_AFTER_SECONDS.
    """
    if not_found_since is None or unlisted_at is None or unlisted_at < not_found_since:
        return False
    return now - not_found_since >= gone_after


def is_mass_absence(in_training: int, not_found: int) -> bool:
    """Return whether so many avatars answer 404 that the cause is the connection or the API key, not the avatars.

    Args:
        in_training: The number of provisionings in TRAINING.
        not_found: How many of them answer 404.
    """
    return in_training >= MIN_TRAININGS_OF_MASS_ABSENCE and 2 * not_found > in_training
