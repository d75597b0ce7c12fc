"""The summary of log messages with a clock that the test advances."""

from __future__ import annotations

import logging

import pytest

from deployments.webhooks.event_summary import EventSummary
from tests.fakes import FakeClock

LOGGER = logging.getLogger("tests.event_summary")


def test_topic_is_logged_once_per_interval_with_its_count(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    events = EventSummary(LOGGER, 60.0, clock)
    for number in range(1500):
        events.log("refused", f"refused {number}")
    events.log("failed", "failed", level=logging.ERROR)
    clock.advance(60)
    events.log("refused", "refused again")
    clock.advance(60)
    events.log("refused", "refused at last")
    assert caplog.messages == [
        "refused 0",
        "failed",
        "refused again (1,499 more since the last such message)",
        "refused at last",
    ]
    assert [record.levelno for record in caplog.records[:2]] == [logging.WARNING, logging.ERROR]
