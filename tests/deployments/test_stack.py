"""`avatars up --simulate` and a work pool, as real processes: runs by the API, schedules, and the end."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.stack import Up, until

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = Up(tmp_path_factory.mktemp("up"))
    yield running
    if running.process.poll() is None:
        running.end()


def test_a_run_by_the_api_sleeps_without_a_process_and_ends_by_name(up: Up) -> None:
    parameters = {"request": up.request("Ada")}
    created = up.api.create_run("provision-avatar/on-demand", parameters, key="ada")
    assert created.status_code == 201
    run_id = created.json()["id"]
    again = up.api.create_run("provision-avatar/on-demand", parameters, key="ada")
    assert (again.status_code, again.json()["id"]) == (200, run_id)
    assert up.api.end_of(run_id)["name"] == "Ready"
    slept = [state for state in up.api.states(run_id) if state["name"] == "Suspended"]
    assert slept
    assert "needs no process meanwhile" in slept[0]["message"]
    shown = up.avatars("show", run_id)
    assert (shown["status"], len(shown["submissions"])) == ("READY", 1)


def test_a_refused_one_ends_so_and_shows_its_branch(up: Up) -> None:
    created = up.api.create_run(
        "provision-avatar/on-demand", {"request": up.request("Eve", extras={"simulator": "refuse"})}
    )
    end = up.api.end_of(created.json()["id"])
    assert (end["type"], end["name"]) == ("FAILED", "Refused")
    assert any(run["parent_task_run_id"] for run in up.api.runs_of("refused"))
    released = up.api.create_run(
        "release-recordings/on-demand", {"provisioning_id": created.json()["id"], "why": "reviewed by Eve"}
    )
    assert "2 videos released" in up.api.end_of(released.json()["id"])["message"]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"name": ""}, "name"), ({"dataset_video": "http://a/b"}, "dataset_video"), ({"nmae": "x"}, "nmae")],
)
def test_a_wrong_body_is_refused_before_a_run_exists(up: Up, change: dict[str, str], field: str) -> None:
    response = up.api.create_run("provision-avatar/on-demand", {"request": {**up.request("Ada"), **change}})
    assert 400 <= response.status_code < 500
    assert field in response.text


def test_what_is_queued_is_provisioned_by_the_schedules_alone(up: Up) -> None:
    words = ("enqueue", "--name", "Grace", "--dataset-video", up.dataset, "--consent-video", up.consent)
    queued = up.avatars(*words, "--reference", "grace")
    assert queued["status"] == "ACCEPTED"

    until(lambda: up.status_of("grace") == "READY" or None, "the schedules")


@pytest.mark.parametrize(
    ("flow", "setting"),
    [("provision-pending", "AVATARS_PENDING_SECONDS"), ("reconcile-avatars", "AVATARS_RECONCILE_SECONDS")],
)
def test_a_schedule_fires_again_after_its_interval(up: Up, flow: str, setting: str) -> None:
    every = timedelta(seconds=float(up.environment[setting]))

    def firings() -> list[dict[str, Any]] | None:
        done = [run for run in up.api.runs_of(flow) if run["state_type"] == "COMPLETED" and run["auto_scheduled"]]
        return done if len({run["expected_start_time"] for run in done}) >= 2 else None

    runs = until(firings, f"two firings of {flow}")
    first, second, *_ = sorted({datetime.fromisoformat(run["expected_start_time"]) for run in runs})
    assert second - first >= every
    assert (second - first) % every == timedelta(0)


def test_ticks_that_piled_up_while_the_runner_stood_still_are_skipped_but_for_one(up: Up) -> None:
    def overdue() -> bool | None:
        now = datetime.now(UTC)
        waiting = [run for run in up.api.runs_of("reconcile-avatars") if run["state_type"] == "SCHEDULED"]
        return sum(datetime.fromisoformat(run["expected_start_time"]) < now for run in waiting) >= 3 or None

    def caught_up() -> bool | None:
        return any(run["state_name"] == "Skipped" for run in up.api.runs_of("reconcile-avatars")) or None

    listed = subprocess.run(["ps", "-wweo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    words = dict(line.split(None, 1) for line in listed.splitlines())
    [runner] = [pid for pid in up.family() if "deployments.runner" in words.get(str(pid), "")]
    os.kill(runner, signal.SIGSTOP)
    try:
        until(overdue, "ticks that are overdue")
    finally:
        os.kill(runner, signal.SIGCONT)
    until(caught_up, "one tick in place of those overdue")


def test_a_webhook_wakes_a_sleeping_run(up: Up) -> None:
    """Reconcile is paused meanwhile: nothing else could wake it."""
    reconcile = up.api.deployment("reconcile-avatars/scheduled")
    assert up.api.call("PATCH", f"/deployments/{reconcile}", {"paused": True}).status_code == 204
    base = f"http://127.0.0.1:{up.environment['AVATARS_WEBHOOK_PORT']}"
    argil = {"ARGIL_API_URL": up.printed(r"^Argil +(\S+)"), "ARGIL_API_KEY": "simulator-key"}
    words = [sys.executable, "-m", "cli", "webhook", "register", "--url", base]
    subprocess.run(words, env={**up.environment, **argil}, check=True, capture_output=True)
    created = up.api.create_run("provision-avatar/on-demand", {"request": up.request("Joan")})
    run_id = created.json()["id"]
    assert up.api.end_of(run_id)["name"] == "Ready"
    assert "Suspended" in [state["name"] for state in up.api.states(run_id)]
    assert up.api.call("PATCH", f"/deployments/{reconcile}", {"paused": False}).status_code == 204


def test_doctor_tells_whether_anything_would_resume_a_sleeping_run(up: Up) -> None:
    reconcile = up.api.deployment("reconcile-avatars/scheduled")

    def doctor() -> tuple[bool, str]:
        words = [sys.executable, "-m", "cli", "doctor", "--json"]
        ran = subprocess.run(words, env=up.environment, capture_output=True, text=True, check=False)
        [prefect] = [finding for finding in json.loads(ran.stdout) if finding["subject"] == "Prefect"]
        return prefect["well"], prefect["detail"]

    assert doctor()[0]
    assert up.api.call("PATCH", f"/deployments/{reconcile}", {"paused": True}).status_code == 204
    well, detail = doctor()
    assert up.api.call("PATCH", f"/deployments/{reconcile}", {"paused": False}).status_code == 204
    assert not well
    assert "nothing would resume a run that sleeps" in detail


def test_the_fleet_report_is_one_artifact(up: Up) -> None:
    created = up.api.create_run("fleet-report/scheduled", {})
    assert up.api.end_of(created.json()["id"])["type"] == "COMPLETED"
    body = {"artifacts": {"key": {"any_": ["avatar-fleet"]}}}
    [artifact] = up.api.call("POST", "/artifacts/latest/filter", body).json()
    assert "## Needs a person" in artifact["data"]


@pytest.mark.parametrize(("wait", "state"), [("suspend", "Suspended"), ("hold", "Running")])
def test_a_run_cancelled_in_the_ui_cancels_its_provisioning(up: Up, wait: str, state: str) -> None:
    request = up.request(f"Cancelled {wait}", extras={"simulator": "never"})
    run_id = up.api.create_run("provision-avatar/on-demand", {"request": request, "wait": wait}).json()["id"]
    until(lambda: up.status_of(run_id) == "TRAINING" or None, "the training")
    until(lambda: up.api.call("GET", f"/flow_runs/{run_id}").json()["state"]["name"] == state or None, state)
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    assert up.api.call("POST", f"/flow_runs/{run_id}/set_state", cancelling).status_code == 201
    assert up.api.end_of(run_id)["type"] == "CANCELLED"
    until(lambda: up.status_of(run_id) == "CANCELLED" or None, "the ledger")
    shown = up.avatars("show", run_id)
    assert shown["avatar_id"]
    assert "goes on with it" in shown["reasons"][0]["message"]


@pytest.mark.parametrize("wait", ["suspend", "hold"])
def test_what_is_cancelled_by_command_ends_its_run(up: Up, wait: str) -> None:
    request = up.request("Stopped", extras={"simulator": "never"})
    run_id = up.api.create_run("provision-avatar/on-demand", {"request": request, "wait": wait}).json()["id"]
    until(lambda: up.status_of(run_id) == "TRAINING" or None, "the training")
    assert up.avatars("cancel", run_id)["status"] == "CANCELLED"
    assert up.api.end_of(run_id)["name"] == "Cancelled"
    assert up.status_of(run_id) == "CANCELLED"


def test_the_end_leaves_no_process_and_no_run_that_claims_to_run(up: Up) -> None:
    """The last test of this module: it ends the stack in the middle of a run."""
    created = up.api.create_run("provision-avatar/on-demand", {"request": up.request("Last"), "wait": "hold"})
    run_id = created.json()["id"]
    until(lambda: up.api.call("GET", f"/flow_runs/{run_id}").json()["state_type"] == "RUNNING" or None, "the run")
    family = up.family()
    assert len(family) >= 3
    assert up.end() == 0
    assert [pid for pid in family if Path(f"/proc/{pid}").exists()] == []
    with sqlite3.connect(up.home / ".avatars/prefect/prefect.db") as database:
        claims = "SELECT count(*) FROM flow_run WHERE state_type IN ('RUNNING', 'PENDING', 'CANCELLING')"
        assert database.execute(claims).fetchone() == (0,)
        state = database.execute("SELECT state_name FROM flow_run WHERE id = ?", (run_id,)).fetchone()
    database.close()
    assert state == ("AwaitingRetry",)
