"""When to poll an avatar in training."""

from __future__ import annotations

import math

INTERVAL_AGE_RATIO = 0.1
"""Poll interval as a ratio of the training's age."""
TICKS_PER_INTERVAL = 2
"""Hundreds of trainings may finish between two ticks, and recording them takes time. With two ticks per interval,
each is still detected and recorded within one interval."""


def poll_interval(age_seconds: float, min_interval_seconds: float, max_interval_seconds: float) -> float:
    """Return the seconds between two polls of an avatar of this age: a tenth of the age, within the bounds."""
    return min(max(INTERVAL_AGE_RATIO * age_seconds, min_interval_seconds), max_interval_seconds)


def seconds_until_next_tick(now: float, interval: float, min_interval_seconds: float) -> float:
    """Return the seconds until the next shared tick, at most half of `interval`.

    The tick period is half the minimum interval times the largest power of two that keeps it within half of
    `interval`. Ticks are multiples of the period, so ticks of long and short intervals coincide.
    """
    period = min_interval_seconds / TICKS_PER_INTERVAL
    step = period * 2.0 ** math.floor(math.log2(max(interval / min_interval_seconds, 1.0)))
    return step - now % step
