"""How long an embedded Prefect server keeps runs and events, as the settings of its own clean-up service."""

from __future__ import annotations

from collections.abc import Mapping

MAX_LOOP_SECONDS = 3600.0
"""Prefect's default interval of the clean-up."""
LOOPS_PER_RETENTION = 4
"""So that nothing stays for much longer than its retention."""

_VACUUM = "PREFECT_SERVER_SERVICES_DB_VACUUM"


def retention_settings(run_seconds: float, event_seconds: float, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the server; one that is set in the environment already is left as it is.

    The clean-up deletes final runs with their task runs, states, logs and artifacts, and events.

    Args:
        run_seconds: How long a run stays after its end; more than an hour.
        event_seconds: How long an event stays.
        environment: The environment of this process.
    """
    loop_seconds = min(MAX_LOOP_SECONDS, min(run_seconds, event_seconds) / LOOPS_PER_RETENTION)
    variables = {
        f"{_VACUUM}_ENABLED": "events,flow_runs",
        f"{_VACUUM}_LOOP_SECONDS": str(loop_seconds),
        f"{_VACUUM}_RETENTION_PERIOD": str(run_seconds),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"PT{event_seconds}S",  # Prefect reads no number of seconds here
    }
    return {name: value for name, value in variables.items() if name not in environment}
