"""Damaged runs in the database of a real embedded stack end neither its runner nor its next start."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.damaged_runs import damage
from tests.stack import RunningStack, wait_for

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/stuck-runs.md").read_text()
COUNT = "SELECT count(*) FROM flow_run WHERE id = ?"
PAST = "2026-01-01 00:00:00.000000"
KINDS = ("lone-surrogate", "name-not-utf8", "broken-json", "broken-policy")


def run_later(up: RunningStack) -> str:
    deployment = up.api.deployment("provision-avatar/on-demand")
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": later}}
    body = {"parameters": {"request": up.request("Later")}, "state": state, "idempotency_key": uuid.uuid4().hex}
    run_id: str = up.api.call("POST", f"/deployments/{deployment}/create_flow_run", body).json()["id"]
    return run_id


def execute(database: Path, statement: str, *parameters: str) -> list[tuple[int]]:
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        return connection.execute(statement, parameters).fetchall()


def ready(up: RunningStack, name: str) -> bool:
    created = up.api.create_run("provision-avatar/on-demand", {"request": up.request(name)})
    return bool(up.api.wait_for_final_state(created.json()["id"])["name"] == "Ready")


def test_damaged_runs_end_neither_runner_nor_next_start(tmp_path: Path) -> None:
    database, log = tmp_path / ".avatars/prefect/prefect.db", tmp_path / "up.log"
    with RunningStack(tmp_path) as up:
        runs = [run_later(up) for _ in KINDS]
        for run_id, kind in zip(runs, KINDS, strict=True):
            damage(database, run_id, kind)
            execute(database, "UPDATE flow_run SET next_scheduled_start_time = ? WHERE id = ?", PAST, run_id)
        wait_for(lambda: all(run_id in log.read_text() for run_id in runs) or None, "the warnings")
        assert ready(up, "Beside damaged runs")
        assert up.stop() == 0

    for run_id, state in zip(runs, ("RUNNING", "CANCELLING", "PENDING", "CRASHED"), strict=True):
        execute(database, "UPDATE flow_run SET state_type = ? WHERE id = ?", state, run_id)
    with RunningStack(tmp_path) as up:
        assert ready(up, "After the start")
        assert [execute(database, COUNT, run_id) for run_id in runs] == [[(1,)]] * len(runs)  # skipped, not deleted

        # The two ways of docs/stuck-runs.md to remove them.
        [command] = re.findall(r"^ *\$ (\S*prefect flow-run delete RUN_ID)$", PAGE, re.MULTILINE)
        args = [sys.executable, "-m", *command.removeprefix(".venv/bin/").split()]
        args[-1] = runs[0]
        assert subprocess.run(args, env=up.environment, check=False, capture_output=True).returncode == 0
        assert up.api.call("GET", f"/flow_runs/{runs[0]}").status_code == 404
    [statement] = re.findall(r'"(DELETE FROM flow_run WHERE id = \'RUN_ID\')"$', PAGE, re.MULTILINE)
    for run_id in runs[1:]:
        execute(database, statement.replace("RUN_ID", run_id))
    assert [execute(database, COUNT, run_id) for run_id in runs] == [[(0,)]] * len(runs)
