"""Settings of Prefect's clean-up: accepted by Prefect, and never replacing those of an operator."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prefect.settings import Settings

from models.environment.prefect_retention import retention_settings


@pytest.mark.parametrize(
    ("run_seconds", "event_seconds", "loop_seconds"), [(2592000.0, 604800.0, 3600.0), (3601.5, 60.0, 15.0)]
)
def test_prefect_reads_the_retention(
    monkeypatch: pytest.MonkeyPatch, run_seconds: float, event_seconds: float, loop_seconds: float
) -> None:
    for name, value in retention_settings(run_seconds, event_seconds, {}).items():
        monkeypatch.setenv(name, value)
    server = Settings().server
    vacuum = server.services.db_vacuum
    assert vacuum.enabled_vacuum_types == {"events", "flow_runs", "orphans"}
    assert vacuum.retention_period == timedelta(seconds=run_seconds)
    assert vacuum.loop_seconds == loop_seconds
    assert server.events.retention_period == timedelta(seconds=event_seconds)


def test_setting_of_an_operator_is_kept() -> None:
    name = "PREFECT_SERVER_EVENTS_RETENTION_PERIOD"
    assert name not in retention_settings(2592000.0, 604800.0, {name: "PT5S"})
