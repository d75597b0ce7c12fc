"""When to look next at an avatar in training."""

from __future__ import annotations

import math

SHARE_OF_AGE = 0.1
TICKS_AN_INTERVAL = 2
"""Hundreds may end between two ticks, to record them takes a while, and each is to be known within an interval."""


def interval_seconds(age_seconds: float, floor: float, ceiling: float) -> float:
    """Return how long to wait between two looks at an avatar of this age: a tenth of it, within bounds."""
    return min(max(SHARE_OF_AGE * age_seconds, floor), ceiling)


def seconds_to_tick(now: float, interval: float, floor: float) -> float:
    """Return how long to wait for a moment in which many look together, no later than after half an interval.

    Such moments are the multiples of half the floor, doubled as often as the interval allows: those of a longer
    interval fall on those of a shorter one, so that one list call serves both.
    """
    step = floor / TICKS_AN_INTERVAL * 2.0 ** math.floor(math.log2(max(interval / floor, 1.0)))
    return step - now % step
