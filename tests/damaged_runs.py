"""Damages rows of a Prefect server's SQLite database, so that its API cannot return these runs."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

DAMAGES: dict[str, str] = {
    "lone-surrogate": """parameters = '{"request": {"name": "half \\ud800 x"}}'""",
    "nested-surrogate": """parameters = '{"rows": [{"extras": {"\\udfff": 1}}]}'""",
    "name-not-utf8": "name = CAST(X'68616C66EDA080' AS TEXT)",
    "broken-json": """parameters = '{"request": '""",
    "broken-policy": """empirical_policy = '{"retries": "x"}'""",
    "broken-time": "expected_start_time = 'not a time'",
}
"""The damages by name, as assignments of SQL. The API cannot even return the id of a run with a broken time."""


def damage(database: Path, run_id: object, kind: str) -> None:
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        statement = f"UPDATE flow_run SET {DAMAGES[kind]} WHERE id = ?"  # noqa: S608  # our own constants
        connection.execute(statement, (str(run_id),))


def delete_run(database: Path, run_id: object) -> None:
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.execute("DELETE FROM flow_run WHERE id = ?", (str(run_id),))
