"""Which limit prevents a submission, how long a pause stands, and how both are described."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from models.errors import BatchBudgetUsed, DayBudgetUsed, OperationalError, PaymentPaused, RatePaused
from models.limits import MAX_PAUSE, LimitState, Pause, PauseCause, day_counter, digest_api_key
from models.spend_limits import SpendLimits

NOW = datetime(2026, 11, 27, 23, 59, tzinfo=UTC)
NO_LIMITS = SpendLimits()
PAID_AT = NOW + MAX_PAUSE


def state(
    *pauses: Pause, limits: SpendLimits = NO_LIMITS, created_today: int = 0, created_in_batch: int = 0
) -> LimitState:
    return LimitState(NOW, limits, created_today, pauses, "b-1", created_in_batch)


def pause(cause: PauseCause = PauseCause.PAYMENT, until: datetime = PAID_AT, probe_id: str | None = None) -> Pause:
    return Pause(cause, NOW, until, probe_id)


@pytest.mark.parametrize(
    ("until", "stands"),
    [
        (NOW, False),
        (NOW + timedelta(microseconds=1), True),
        (NOW + MAX_PAUSE, True),
        (NOW + MAX_PAUSE + timedelta(seconds=30), True),
        (NOW + MAX_PAUSE + timedelta(seconds=31), False),  # stored before the clock was set back
    ],
)
def test_pause_stands_until_its_end_and_never_for_longer_than_any_pause(until: datetime, *, stands: bool) -> None:
    assert pause(until=until).stands(NOW) is stands


@pytest.mark.parametrize(
    ("limited", "error"),
    [
        (state(limits=SpendLimits(per_day=2), created_today=2), DayBudgetUsed),
        (state(limits=SpendLimits(per_day=2), created_today=3), DayBudgetUsed),
        (state(limits=SpendLimits(per_day=0)), DayBudgetUsed),
        (state(limits=SpendLimits(per_batch=2), created_in_batch=2), BatchBudgetUsed),
        (state(limits=SpendLimits(1, 1), created_today=1, created_in_batch=1), DayBudgetUsed),
        (state(pause()), PaymentPaused),
        (state(pause(PauseCause.RATE)), RatePaused),
        (state(pause(PauseCause.RATE, probe_id="p-1")), RatePaused),
    ],
)
def test_limit_prevents_a_submission(limited: LimitState, error: type[OperationalError]) -> None:
    with pytest.raises(error):
        limited.require(reserved_by={"p-1"})


@pytest.mark.parametrize(
    "limited",
    [
        state(),
        state(limits=SpendLimits(per_day=2), created_today=1),
        state(limits=SpendLimits(per_batch=2), created_in_batch=1),
        state(pause(until=NOW)),
        state(pause(probe_id="p-1")),
    ],
)
def test_submission_within_its_limits_is_admitted(limited: LimitState) -> None:
    limited.require(reserved_by={"p-1"})


def test_limit_of_a_batch_is_none_of_a_single_request() -> None:
    LimitState(NOW, SpendLimits(per_batch=0), 0, ()).require()


def test_reason_of_a_pause_does_not_change_while_it_lasts() -> None:
    early, late = pause().error(NOW), pause(until=PAID_AT + timedelta(minutes=5)).error(NOW)
    assert (early.code, early.message, early.hint) == (late.code, late.message, late.hint)
    assert early.code == "pause.payment"
    assert early.retry_after_seconds == MAX_PAUSE.total_seconds()


def test_limits_are_described_with_their_ends() -> None:
    limited = state(pause(), pause(PauseCause.RATE), limits=SpendLimits(per_day=5), created_today=3)
    payment, rate, budget = limited.describe()
    assert payment.startswith("payment: Argil asked for payment (402)")
    assert "tried after 2026-11-28 00:14:00 UTC" in payment
    assert "every request waits until 2026-11-28 00:14:00 UTC" in rate
    assert budget == "3 of AVATARS_MAX_CREATES_PER_DAY=5 submissions today (UTC), 2 left"
    assert state(limits=SpendLimits(per_day=5), created_today=6).describe() == [
        "6 of AVATARS_MAX_CREATES_PER_DAY=5 submissions today (UTC), 0 left; the next UTC day goes on by itself"
    ]
    assert state().describe() == []
    assert state(limits=SpendLimits(per_batch=9), created_in_batch=4).describe() == [
        "4 of AVATARS_MAX_CREATES_PER_BATCH=9 submissions of this batch, 5 left"
    ]
    assert state(created_today=3).describe_budget() == "3 submissions today (UTC), no limit"


def test_day_is_that_of_utc() -> None:
    assert day_counter(NOW) == "day:2026-11-27"
    for hours in (-14, 2, 14):
        assert day_counter(NOW.astimezone(timezone(timedelta(hours=hours)))) == "day:2026-11-27"


def test_digest_does_not_contain_the_key() -> None:
    assert "canary" not in digest_api_key("canary-key")
    assert digest_api_key("canary-key") != digest_api_key("other-key")
