"""Schedules by recurrence rule are found in the bodies that Prefect's API accepts."""

from __future__ import annotations

import pytest

from models.recurrence_rules import has_recurrence_rule

RULE = {"active": True, "schedule": {"rrule": "FREQ=DAILY", "timezone": "UTC"}}
CRON = {"active": True, "schedule": {"cron": "* * * * *"}}


@pytest.mark.parametrize(
    "body",
    [RULE, [RULE], [CRON, RULE], {"name": "x", "schedules": [CRON, RULE]}, {"schedule": {"rrule": ""}}],
)
def test_recurrence_rule_is_found(body: object) -> None:
    assert has_recurrence_rule(body)


@pytest.mark.parametrize(
    "body",
    [
        CRON,
        [CRON],
        {"schedules": [CRON]},
        {"schedules": [{"schedule": {"interval": 60.0}}]},
        {"parameters": {"extras": {"schedule": {"rrule": "FREQ=DAILY"}}}},
        {"schedule": None, "schedules": None},
        {"schedule": "rrule", "schedules": "rrule"},
        {"active": False},
        [None, "rrule", ["rrule"], 1],
        "rrule",
        None,
    ],
)
def test_other_body_has_no_recurrence_rule(body: object) -> None:
    assert not has_recurrence_rule(body)
