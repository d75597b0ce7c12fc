"""Finds schedules by recurrence rule (RFC 5545) in bodies for Prefect's API.

Prefect's server computes the next dates of every schedule in its only event loop, each minute and after each start.
The search of dateutil for a date that does not exist, for example `FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30`, lasts
minutes to hours. One such schedule makes the server unreachable for good. Searches for the dates of a cron
expression or of an interval end after milliseconds.
"""

from __future__ import annotations

from typing import Any

RULE_FIELD = "rrule"


def has_recurrence_rule(body: Any) -> bool:
    """Return whether a decoded body creates or changes a schedule with a recurrence rule.

    The bodies are a list of schedules (`POST /deployments/ID/schedules`), one schedule (`PATCH`), or a deployment
    with `schedules`. The parameters of a run or a deployment may have fields with the same names.
    """
    entries = body if isinstance(body, list) else [body, *_items(_field(body, "schedules"))]
    return any(_field(_field(entry, "schedule"), RULE_FIELD) is not None for entry in entries)


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
