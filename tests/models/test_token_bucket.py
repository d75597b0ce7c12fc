"""The token bucket with a clock that the test advances."""

from __future__ import annotations

import pytest

from models.token_bucket import TokenBucket
from tests.fakes import FakeClock


def test_burst_is_permitted_and_then_the_rate(clock: FakeClock) -> None:
    bucket = TokenBucket(2.0, 3, clock)
    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    clock.advance(0.5)
    assert [bucket.take(), bucket.take()] == [0.0, 0.5]


def test_refused_request_takes_no_permit(clock: FakeClock) -> None:
    bucket = TokenBucket(1.0, 1, clock)
    assert [bucket.take() for _ in range(3)] == [0.0, 1.0, 1.0]
    clock.advance(0.75)
    assert bucket.take() == pytest.approx(0.25)


def test_idle_bucket_holds_at_most_its_burst(clock: FakeClock) -> None:
    bucket = TokenBucket(5.0, 2, clock)
    clock.advance(3600)
    assert [bool(bucket.take()) for _ in range(3)] == [False, False, True]
