"""Changes the state of a submission, and with it what depends on it: its counters and the pause that it may end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from models.provisioning import SubmissionState
from store.counters import count_resolution
from store.pauses import end_pauses
from store.statements import UPDATE_SUBMISSION


def set_state(connection: Connection, resolution: Mapping[str, Any], *, is_sqlite: bool) -> None:
    """Write the new state of a submission.

    Args:
        connection: The transaction that also changes the provisioning.
        resolution: `submission_id`, `state`, and the other columns to set.
        is_sqlite: Whether the database is SQLite.
    """
    submission_id, state = resolution["submission_id"], SubmissionState(resolution["state"])
    count_resolution(connection, submission_id, state, is_sqlite=is_sqlite)
    if state is SubmissionState.CREATED:
        end_pauses(connection, submission_id)
    connection.execute(UPDATE_SUBMISSION, resolution)
