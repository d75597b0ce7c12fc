"""The benchmark of `avatars reconcile` with few trainings: its requests and what it records."""

from __future__ import annotations

import pytest

from benchmarks.reconcile import BARE, RECONCILE, measure

IN_FLIGHT, ENDED = 60, 3

pytestmark = [pytest.mark.prefect, pytest.mark.postgres, pytest.mark.system, pytest.mark.timeout(600)]


def test_each_pass_lists_once_and_records_what_ended() -> None:
    progress: list[str] = []
    measured = measure(IN_FLIGHT, ENDED, limit_seconds=300, report_progress=progress.append)
    assert len(progress) == 1 + len(measured)
    assert [(item.implementation, item.ended, item.recorded) for item in measured] == [
        (BARE, 0, 0),
        (RECONCILE, 0, 0),
        (BARE, ENDED, 0),
        (RECONCILE, ENDED, ENDED),
    ]
    assert [(item.in_flight, item.list_calls, item.gets) for item in measured] == 4 * [(IN_FLIGHT, 1, 0)]
    assert all(item.cost.completed and item.cost.peak_megabytes > 0 for item in measured)
