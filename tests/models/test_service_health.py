"""Whether the schedule runs and Argil answers, from the times in the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from models.service_health import MIN_SILENCE, argil_problem, format_age, schedule_problem, silence_limit

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
LIMIT = MIN_SILENCE
RECENT, OLD, AHEAD = NOW - timedelta(minutes=1), NOW - timedelta(hours=3), NOW + timedelta(hours=2)


@pytest.mark.parametrize(
    ("interval", "limit"), [(10, MIN_SILENCE), (60, MIN_SILENCE), (600, timedelta(minutes=50))]
)
def test_silence_limit_is_five_intervals_or_ten_minutes(interval: float, limit: timedelta) -> None:
    assert silence_limit(interval) == limit


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, "never"),
        (NOW, "0 seconds ago"),
        (RECENT, "1 minute ago"),
        (OLD, "3 hours ago"),
        (NOW - timedelta(days=2, hours=5), "2 days ago"),
        (AHEAD, "2 hours ahead of this clock"),
    ],
)
def test_age_is_formatted_in_its_largest_unit(moment: datetime | None, text: str) -> None:
    assert format_age(moment, NOW) == text


@pytest.mark.parametrize(
    ("reconciled_at", "waiting_since", "problem"),
    [
        (RECENT, OLD, False),
        (OLD, None, False),
        (None, None, False),
        (OLD, RECENT, False),  # queued a moment ago
        (OLD, OLD, True),
        (None, OLD, True),
        (AHEAD, OLD, True),
        (OLD, AHEAD, True),
        (AHEAD, None, False),
    ],
)
def test_schedule_is_missed_only_if_something_waits(
    reconciled_at: datetime | None, waiting_since: datetime | None, problem: bool
) -> None:
    assert (schedule_problem(reconciled_at, waiting_since, NOW, LIMIT) is not None) is problem


@pytest.mark.parametrize(
    ("reconciled_at", "listed_at", "problem"),
    [
        (RECENT, RECENT, False),
        (RECENT, OLD, True),
        (RECENT, None, True),
        (RECENT, AHEAD, True),
        (OLD, OLD, False),  # the schedule is the problem
        (None, None, False),
    ],
)
def test_silent_argil_is_a_problem_while_the_schedule_runs(
    reconciled_at: datetime | None, listed_at: datetime | None, problem: bool
) -> None:
    assert (argil_problem(reconciled_at, listed_at, NOW, LIMIT) is not None) is problem
