"""`avatars up --simulate` and a work pool, as real processes: runs by the API, schedules, and the end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator

PATIENCE_SECONDS = 100
LOOK_SECONDS = 0.3
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(240)]
Answer = TypeVar("Answer")


def until(what: Callable[[], Answer | None], told: str) -> Answer:
    """Ask until there is an answer; the deadline bounds a failure, it measures nothing."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up_at:
        if (answer := what()) is not None:
            return answer
        time.sleep(LOOK_SECONDS)
    pytest.fail(f"waited in vain: {told}")


class Api:
    """Prefect's API as a caller uses it; what the server answers with 503 is asked again."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30, transport=httpx.HTTPTransport(retries=3))

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        def ask() -> httpx.Response | None:
            response = self._http.request(method, path, json=body)
            return None if response.status_code == 503 else response

        return until(ask, path)

    def deployment(self, name: str) -> str:
        found: str = self.call("GET", f"/deployments/name/{name}").json()["id"]
        return found

    def create_run(self, name: str, parameters: dict[str, Any], key: str | None = None) -> httpx.Response:
        body = {"parameters": parameters, "idempotency_key": key or uuid.uuid4().hex}
        return self.call("POST", f"/deployments/{self.deployment(name)}/create_flow_run", body)

    def states(self, run_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", f"/flow_run_states/?flow_run_id={run_id}").json()
        return sorted(found, key=lambda state: str(state["timestamp"]))

    def end_of(self, run_id: str) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            state: dict[str, Any] = self.call("GET", f"/flow_runs/{run_id}").json()["state"]
            return state if state["type"] in ENDED else None

        return until(ended, f"the end of run {run_id}")

    def runs_of(self, flow: str) -> list[dict[str, Any]]:
        body = {"flows": {"name": {"any_": [flow]}}, "limit": 200}
        found: list[dict[str, Any]] = self.call("POST", "/flow_runs/filter", body).json()
        return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Up:
    """A running `avatars up --simulate`, its home and what it printed."""

    def __init__(self, home: Path) -> None:
        own = {
            name: value for name, value in os.environ.items() if name not in {"PREFECT_API_URL", "SSL_CERT_FILE"}
        }
        self.home = home
        self.environment = {
            **own,
            "HOME": str(home),
            "AVATARS_HOLD_SECONDS": "0",
            "AVATARS_RECONCILE_SECONDS": "4",
            "AVATARS_PENDING_SECONDS": "4",
            "AVATARS_POLL_FLOOR_SECONDS": "0.2",
            "AVATARS_WEBHOOK_TOKEN": uuid.uuid4().hex,
            "AVATARS_WEBHOOK_PORT": str(free_port()),
        }
        words = [sys.executable, "-m", "cli", "up", "--simulate", "--port", "0", "--training-seconds", "5"]
        self.log = (home / "up.log").open("w+")
        self.process = subprocess.Popen(words, env=self.environment, stdout=self.log, stderr=self.log, text=True)
        until(lambda: self.printed(r"^(ready)") or None, "avatars up")
        self.api = Api(self.printed(r"^Prefect API +(\S+)"))
        self.environment["PREFECT_API_URL"] = self.printed(r"^Prefect API +(\S+)")
        self.dataset = self.printed(r"(https://\S+/dataset\.mp4)")
        self.consent = self.printed(r"(https://\S+/consent\.mp4)")

    def printed(self, pattern: str) -> str:
        assert self.process.poll() is None, (self.home / "up.log").read_text()
        found = re.search(pattern, (self.home / "up.log").read_text(), re.MULTILINE)
        return found.group(1) if found else ""

    def request(self, name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "dataset_video": self.dataset, "consent_video": self.consent, **more}

    def avatars(self, *words: str) -> Any:
        ran = subprocess.run(
            [sys.executable, "-m", "cli", *words, "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
        return json.loads(ran.stdout)

    def family(self) -> list[int]:
        """The processes of the stack: its server's and its runner's process groups."""
        listed = subprocess.run(
            ["ps", "-eo", "pid=,pgid=,ppid="], capture_output=True, text=True, check=True
        ).stdout
        rows = [tuple(map(int, line.split())) for line in listed.splitlines()]
        groups = {pid for pid, _, parent in rows if parent == self.process.pid}
        return [pid for pid, group, _ in rows if group in groups]

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.api.close()
        self.log.close()
        return code


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

    def ready() -> bool | None:
        return True if up.avatars("show", "grace")["status"] == "READY" else None

    until(ready, "the schedules")
    for flow in ("provision-pending", "reconcile-avatars"):
        done = [run for run in up.api.runs_of(flow) if run["state_type"] == "COMPLETED" and run["auto_scheduled"]]
        assert len(done) >= 2


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


def test_a_work_pool_runs_the_same_deployments(
    prefect_api_url: str, simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path
) -> None:
    pool = f"pool-{uuid.uuid4().hex[:8]}"
    api = Api(prefect_api_url)
    assert api.call("POST", "/work_pools/", {"name": pool, "type": "process"}).status_code == 201
    for _ in range(2):
        subprocess.run([sys.executable, "-m", "cli", "deploy", "--pool", pool], check=True, capture_output=True)
    found = api.call("POST", "/deployments/filter", {"work_pools": {"name": {"any_": [pool]}}}).json()
    assert len({one["id"] for one in found}) == len(found) == 6
    worker = subprocess.Popen(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool],
        env={**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "1"},
        stdout=(log := (tmp_path / "worker.log").open("w")),
        stderr=log,
    )
    try:
        urls = {"dataset_video": videos.url("dataset.mp4"), "consent_video": videos.url("consent.mp4")}
        request = {"name": "Ada", **urls}
        created = api.create_run("provision-avatar/on-demand", {"request": request, "wait": "hold"})
        end = api.end_of(created.json()["id"])
        assert end["name"] == "Ready", (tmp_path / "worker.log").read_text()
        assert len(simulated.world.avatars) == 1
    finally:
        worker.terminate()
        worker.wait(40)
        log.close()
        api.close()
