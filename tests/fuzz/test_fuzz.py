"""A short fuzz run, and checks of the weights of the long one (`make fuzz`)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz.targets import TARGET_WEIGHTS

MAX_EXAMPLES = 25


@pytest.mark.system
@pytest.mark.parametrize("name", TARGET_WEIGHTS)
def test_target_gives_a_value_or_own_error(name: str) -> None:
    target, _ = TARGET_WEIGHTS[name]

    @seed(7)
    @settings(max_examples=MAX_EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(target.cases)
    def check(case: object) -> None:
        target.check(case)

    check()


def test_target_weights_sum_to_100() -> None:
    assert sum(percent for _, percent in TARGET_WEIGHTS.values()) == 100
