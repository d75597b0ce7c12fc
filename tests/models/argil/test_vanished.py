"""When Argil no longer has an avatar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from models.argil.vanished import is_gone, is_mass_absence

SINCE = datetime(2026, 11, 26, tzinfo=UTC)
GONE_AFTER = timedelta(seconds=900)


def after(seconds: float) -> datetime:
    return SINCE + timedelta(seconds=seconds)


def test_lasting_404_with_a_list_without_it_is_gone() -> None:
    assert is_gone(SINCE, after(900), after(900), GONE_AFTER)
    assert is_gone(SINCE, SINCE, after(901), GONE_AFTER)


@pytest.mark.parametrize(
    ("not_found_since", "unlisted_at", "now"),
    [
        (None, after(900), after(900)),
        (SINCE, None, after(9000)),
        (SINCE, after(-1), after(9000)),
        (SINCE, after(899), after(899)),
    ],
    ids=["found again", "no list", "only a list before the first 404", "too early"],
)
def test_missing_fact_is_not_gone(
    not_found_since: datetime | None, unlisted_at: datetime | None, now: datetime
) -> None:
    assert not is_gone(not_found_since, unlisted_at, now, GONE_AFTER)


@pytest.mark.parametrize(
    ("in_training", "not_found", "expected"),
    [(1, 1, False), (2, 2, False), (3, 1, False), (3, 2, True), (4, 2, False), (4, 3, True), (200, 200, True)],
)
def test_more_than_half_of_three_or_more_is_a_mass_absence(
    in_training: int, not_found: int, expected: bool
) -> None:
    assert is_mass_absence(in_training, not_found) is expected
