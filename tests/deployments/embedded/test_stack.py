"""`avatars up --simulate` as a real process: runs started by the API, schedules, and shutdown."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.receiver_attack import HALF_OPEN_CONNECTIONS, ReceiverAttack
from tests.stack import RunningStack, wait_for

LOGGED_KINDS = 4
"""400, 408, 431 and 503."""

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with RunningStack(tmp_path_factory.mktemp("up")) as running:
        yield running


def test_processes_have_only_the_variables_they_need(up: RunningStack) -> None:
    request = up.request("Environment", extras={"simulator": "never"})
    run_id = up.api.create_run("provision-avatar/on-demand", {"request": request, "wait": "block"}).json()["id"]
    wait_for(lambda: up.status_of(run_id) == "TRAINING" or None, "the training")
    environments = {pid: Path(f"/proc/{pid}/environ").read_bytes() for pid in up.process_ids()}
    servers = [pid for pid in environments if re.search(r"(?<!fork)server", args(pid))]
    assert servers
    assert len(environments) >= len(servers) + 3  # the runner, the fork server and the run
    assert up.avatars("cancel", run_id)["status"] == "CANCELLED"
    for pid, environment in environments.items():
        assert b"SECRET_OF_OTHERS" not in environment
        assert b"PREFECT_SERVER_API_AUTH_STRING" not in environment
        needs_argil = pid not in servers
        assert (b"ARGIL_API_KEY=" in environment) is needs_argil, args(pid)
        assert (b"AVATARS_" in environment) is needs_argil, args(pid)


def args(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def test_ui_calls_the_api_of_its_own_stack(up: RunningStack) -> None:
    api_url = up.environment["PREFECT_API_URL"]
    settings = httpx.get(f"{api_url.removesuffix('/api')}/ui-settings", timeout=100).json()
    assert settings["api_url"] == api_url


def test_api_run_suspends_and_finishes_as_ready(up: RunningStack) -> None:
    parameters = {"request": up.request("Ada")}
    created = up.api.create_run("provision-avatar/on-demand", parameters, key="ada")
    assert created.status_code == 201
    run_id = created.json()["id"]
    repeated = up.api.create_run("provision-avatar/on-demand", parameters, key="ada")
    assert (repeated.status_code, repeated.json()["id"]) == (200, run_id)
    assert up.api.wait_for_final_state(run_id)["name"] == "Ready"
    suspended = [state for state in up.api.states(run_id) if state["name"] == "Suspended"]
    assert suspended
    assert "needs no process until it is resumed" in suspended[0]["message"]
    details = up.avatars("show", run_id)
    assert (details["status"], len(details["submissions"])) == ("READY", 1)


def test_refused_run_has_a_refused_subflow(up: RunningStack) -> None:
    created = up.api.create_run(
        "provision-avatar/on-demand", {"request": up.request("Eve", extras={"simulator": "refuse"})}
    )
    state = up.api.wait_for_final_state(created.json()["id"])
    assert (state["type"], state["name"]) == ("FAILED", "Refused")
    assert any(run["parent_task_run_id"] for run in up.api.runs_of("refused"))
    released = up.api.create_run(
        "release-recordings/on-demand", {"provisioning_id": created.json()["id"], "reason": "reviewed by Eve"}
    )
    assert "2 recordings released" in up.api.wait_for_final_state(released.json()["id"])["message"]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"name": ""}, "name"), ({"dataset_video": "http://a/b"}, "dataset_video"), ({"nmae": "x"}, "nmae")],
)
def test_invalid_request_creates_no_run(up: RunningStack, change: dict[str, str], field: str) -> None:
    response = up.api.create_run("provision-avatar/on-demand", {"request": {**up.request("Ada"), **change}})
    assert 400 <= response.status_code < 500
    assert field in response.text


def test_schedules_provision_a_queued_request(up: RunningStack) -> None:
    args = ("enqueue", "--name", "Grace", "--dataset-video", up.dataset, "--consent-video", up.consent)
    queued = up.avatars(*args, "--reference", "grace")
    assert queued["status"] == "ACCEPTED"

    wait_for(lambda: up.status_of("grace") == "READY" or None, "the schedules to provision it")


@pytest.mark.parametrize(
    ("flow", "setting"),
    [
        ("provision-pending", "AVATARS_PENDING_INTERVAL_SECONDS"),
        ("reconcile-avatars", "AVATARS_RECONCILE_INTERVAL_SECONDS"),
    ],
)
def test_schedule_fires_again_after_its_interval(up: RunningStack, flow: str, setting: str) -> None:
    interval = timedelta(seconds=float(up.environment[setting]))

    def completed_runs() -> list[dict[str, Any]] | None:
        runs = [run for run in up.api.runs_of(flow) if run["state_type"] == "COMPLETED" and run["auto_scheduled"]]
        return runs if len({run["expected_start_time"] for run in runs}) >= 2 else None

    runs = wait_for(completed_runs, f"two scheduled runs of {flow}")
    first, second, *_ = sorted({datetime.fromisoformat(run["expected_start_time"]) for run in runs})
    assert second - first >= interval
    assert (second - first) % interval == timedelta(0)


def test_overdue_runs_are_skipped_except_one(up: RunningStack) -> None:
    def overdue() -> bool | None:
        now = datetime.now(UTC)
        scheduled = [run for run in up.api.runs_of("reconcile-avatars") if run["state_type"] == "SCHEDULED"]
        return sum(datetime.fromisoformat(run["expected_start_time"]) < now for run in scheduled) >= 3 or None

    def caught_up() -> bool | None:
        return any(run["state_name"] == "Skipped" for run in up.api.runs_of("reconcile-avatars")) or None

    processes = subprocess.run(["ps", "-wweo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    args = dict(line.split(None, 1) for line in processes.splitlines())
    [runner] = [pid for pid in up.process_ids() if "deployments.embedded.runner_process" in args.get(str(pid), "")]
    os.kill(runner, signal.SIGSTOP)
    try:
        wait_for(overdue, "overdue runs")
    finally:
        os.kill(runner, signal.SIGCONT)
    wait_for(caught_up, "the skipped runs")


def test_changed_deployment_executes_no_other_code(up: RunningStack, tmp_path: Path) -> None:
    """Callers of the API can change what a deployment loads, and the steps before it."""
    path = f"/deployments/{up.api.deployment('provision-avatar/on-demand')}"
    original = {name: up.api.call("GET", path).json()[name] for name in ("entrypoint", "pull_steps")}
    module, executed = tmp_path / "other.py", tmp_path / "executed"
    module.write_text(f"open({str(executed)!r}, 'w')\nfrom flows.provision_avatar import provision_avatar\n")
    step = {"prefect.deployments.steps.run_shell_script": {"script": f"touch {executed}"}}
    changed = {"entrypoint": f"{module}:provision_avatar", "pull_steps": [step]}
    assert up.api.call("PATCH", path, changed).status_code == 204
    created = up.api.create_run("provision-avatar/on-demand", {"request": up.request("Pinned")})
    assert up.api.wait_for_final_state(created.json()["id"])["name"] == "Ready"
    assert up.api.call("PATCH", path, original).status_code == 204
    assert not executed.exists()


def test_second_stack_on_the_same_api_is_refused(up: RunningStack, tmp_path: Path) -> None:
    """The second one has another home and ledger; it must not touch the live runs of the first."""
    request = up.request("Live", extras={"simulator": "never"})
    run_id = up.api.create_run("provision-avatar/on-demand", {"request": request, "wait": "block"}).json()["id"]
    wait_for(lambda: up.status_of(run_id) == "TRAINING" or None, "the training")
    second = {**up.environment, "HOME": str(tmp_path), "ARGIL_API_KEY": "key", "AVATARS_WEBHOOK_TOKEN": ""}
    command = [sys.executable, "-m", "cli", "up", "--port", "0"]
    completed = subprocess.run(command, env=second, capture_output=True, text=True, timeout=200, check=False)
    assert (completed.returncode, completed.stdout) == (3, "")
    assert "another `avatars up` uses this Prefect API (host" in completed.stderr
    assert "Traceback" not in completed.stderr
    states = [state["name"] for state in up.api.states(run_id)]
    assert (states[-1], "AwaitingRetry" in states) == ("Running", False)
    assert up.avatars("cancel", run_id)["status"] == "CANCELLED"


def test_webhook_resumes_a_suspended_run(up: RunningStack) -> None:
    """Reconcile is paused, so that only the webhook can resume the run; the stack has registered its receiver."""
    reconcile = up.api.deployment("reconcile-avatars/scheduled")
    assert up.api.call("PATCH", f"/deployments/{reconcile}", {"paused": True}).status_code == 204
    created = up.api.create_run("provision-avatar/on-demand", {"request": up.request("Joan")})
    run_id = created.json()["id"]
    assert up.api.wait_for_final_state(run_id)["name"] == "Ready"
    assert "Suspended" in [state["name"] for state in up.api.states(run_id)]
    assert up.api.call("PATCH", f"/deployments/{reconcile}", {"paused": False}).status_code == 204


def test_attack_on_the_receiver_delays_no_run(up: RunningStack) -> None:
    """The attack lasts from before the run until its end."""
    address = ("127.0.0.1", int(up.receiver.rpartition(":")[2]))
    with ReceiverAttack(address) as attack:
        wait_for(lambda: attack.opened > HALF_OPEN_CONNECTIONS or None, "the attack")
        created = up.api.create_run("provision-avatar/on-demand", {"request": up.request("Attacked")})
        assert up.api.wait_for_final_state(created.json()["id"])["name"] == "Ready"
        assert httpx.get(f"{up.receiver}/health", trust_env=False, timeout=100).text == '{"status":"ok"}'
        assert attack.is_alive()
    output = (up.home / "up.log").read_text()
    assert "the webhook receiver exited" not in output
    assert output.count("refused a webhook request") <= LOGGED_KINDS * (1 + attack.seconds / 60)


def test_doctor_reports_whether_reconcile_is_scheduled(up: RunningStack) -> None:
    reconcile = up.api.deployment("reconcile-avatars/scheduled")

    def doctor() -> tuple[bool, str]:
        args = [sys.executable, "-m", "cli", "doctor", "--json"]
        completed = subprocess.run(args, env=up.environment, capture_output=True, text=True, check=False)
        [prefect] = [result for result in json.loads(completed.stdout) if result["check"] == "Prefect"]
        return prefect["ok"], prefect["detail"]

    assert doctor()[0]
    assert up.api.call("PATCH", f"/deployments/{reconcile}", {"paused": True}).status_code == 204
    ok, detail = doctor()
    assert up.api.call("PATCH", f"/deployments/{reconcile}", {"paused": False}).status_code == 204
    assert not ok
    assert "suspended runs would not be resumed" in detail


def test_fleet_report_publishes_one_artifact(up: RunningStack) -> None:
    created = up.api.create_run("fleet-report/scheduled", {})
    assert up.api.wait_for_final_state(created.json()["id"])["type"] == "COMPLETED"
    body = {"artifacts": {"key": {"any_": ["avatar-fleet"]}}}
    [artifact] = up.api.call("POST", "/artifacts/latest/filter", body).json()
    assert "## Needs attention" in artifact["data"]


@pytest.mark.parametrize(("wait", "state"), [("suspend", "Suspended"), ("block", "Running")])
def test_cancelled_run_cancels_its_provisioning(up: RunningStack, wait: str, state: str) -> None:
    request = up.request(f"Cancelled {wait}", extras={"simulator": "never"})
    run_id = up.api.create_run("provision-avatar/on-demand", {"request": request, "wait": wait}).json()["id"]
    wait_for(lambda: up.status_of(run_id) == "TRAINING" or None, "the training")
    wait_for(lambda: up.api.call("GET", f"/flow_runs/{run_id}").json()["state"]["name"] == state or None, state)
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    assert up.api.call("POST", f"/flow_runs/{run_id}/set_state", cancelling).status_code == 201
    assert up.api.wait_for_final_state(run_id)["type"] == "CANCELLED"
    wait_for(lambda: up.status_of(run_id) == "CANCELLED" or None, "the ledger")
    details = up.avatars("show", run_id)
    assert details["avatar_id"]
    assert "keeps training" in details["reasons"][0]["message"]


@pytest.mark.parametrize("wait", ["suspend", "block"])
def test_cancel_command_ends_the_run(up: RunningStack, wait: str) -> None:
    request = up.request("Stopped", extras={"simulator": "never"})
    run_id = up.api.create_run("provision-avatar/on-demand", {"request": request, "wait": wait}).json()["id"]
    wait_for(lambda: up.status_of(run_id) == "TRAINING" or None, "the training")
    assert up.avatars("cancel", run_id)["status"] == "CANCELLED"
    assert up.api.wait_for_final_state(run_id)["name"] == "Cancelled"
    assert up.status_of(run_id) == "CANCELLED"


def test_retry_in_the_ui_does_not_retrain_again(up: RunningStack) -> None:
    request = up.request("Grace", extras={"simulator": "fail"})
    run_id = up.api.create_run("provision-avatar/on-demand", {"request": request}).json()["id"]
    assert up.api.wait_for_final_state(run_id)["name"] == "TrainingFailed"
    parameters = {"provisioning_id": run_id, "action": "retrain", "reason": "Ada: more light"}
    retrain_id = up.api.create_run("resume-provisioning/on-demand", parameters).json()["id"]
    assert up.api.wait_for_final_state(retrain_id)["name"] == "TrainingFailed"
    retry = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}}
    assert up.api.call("POST", f"/flow_runs/{retrain_id}/set_state", retry).json()["status"] == "ACCEPT"

    def ended_twice() -> bool | None:
        return [state["name"] for state in up.api.states(retrain_id)].count("TrainingFailed") == 2 or None

    wait_for(ended_twice, "the second end of the run")
    details = up.avatars("show", run_id)
    assert (details["status"], len(details["submissions"])) == ("TRAINING_FAILED", 2)
    assert details["submissions"][1]["cause"].endswith("Ada: more light")


def test_closed_terminal_leaves_no_process_or_running_run(up: RunningStack) -> None:
    """Must run last in this module: it stops the stack in the middle of a run."""
    endless = up.request("Last", extras={"simulator": "never"})
    created = up.api.create_run("provision-avatar/on-demand", {"request": endless, "wait": "block"})
    run_id = created.json()["id"]
    wait_for(
        lambda: up.api.call("GET", f"/flow_runs/{run_id}").json()["state_type"] == "RUNNING" or None, "the run"
    )
    pids = up.process_ids()
    assert len(pids) >= 3
    assert up.stop(signal.SIGHUP) == 0
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    with sqlite3.connect(up.home / ".avatars/prefect/prefect.db") as database:
        active_runs = "SELECT count(*) FROM flow_run WHERE state_type IN ('RUNNING', 'PENDING', 'CANCELLING')"
        assert database.execute(active_runs).fetchone() == (0,)
        state = database.execute("SELECT state_name FROM flow_run WHERE id = ?", (run_id,)).fetchone()
        history = database.execute(
            "SELECT name, message FROM flow_run_state WHERE flow_run_id = ? ORDER BY timestamp", (run_id,)
        ).fetchall()
    database.close()
    assert state == ("AwaitingRetry",), history
