"""The deployments on a process work pool with a real worker, including a worker that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.media_host import MediaHost
from simulator.sample_videos import copy_as_another_recording
from simulator.server import ArgilSimulator, run_argil
from tests.prefect_workers import work_pool, worker
from tests.stack import PrefectApi, wait_for

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(300)]

TRAINING_SECONDS = 6.0


@pytest.fixture
def simulated(
    videos: MediaHost, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ArgilSimulator]:
    """Run a simulator whose trainings are long enough to suspend or kill a run in the middle."""
    with run_argil(api_key="canary-api-key", training_seconds=TRAINING_SECONDS) as argil:
        for name, value in {
            "ARGIL_API_URL": argil.api_url,
            "ARGIL_API_KEY": argil.api_key,
            "AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}",
            "AVATARS_MEDIA_ALLOWED_HOSTS": "127.0.0.1",
            "AVATARS_POLL_MIN_SECONDS": "0.2",
            "AVATARS_WATCH_BEFORE_SUSPEND_SECONDS": "0",
            "AVATARS_RECONCILE_INTERVAL_SECONDS": "8",
            "SSL_CERT_FILE": str(videos.ca_file),
        }.items():
            monkeypatch.setenv(name, value)
        yield argil


@pytest.fixture
def api(prefect_api_url: str) -> Iterator[PrefectApi]:
    client = PrefectApi(prefect_api_url)
    yield client
    client.close()


@pytest.fixture
def pool(api: PrefectApi, simulated: ArgilSimulator) -> Iterator[str]:
    with work_pool(api) as name:
        yield name


def kill(process: subprocess.Popen[bytes], *, include_runs: bool) -> None:
    """Kill the worker with SIGKILL, optionally with its descendants, so that no process reports to Prefect."""
    processes = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in processes.splitlines())}
    pids = [process.pid]
    for pid in pids:
        pids += [child for child, parent in parents.items() if parent == pid and include_runs]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    process.wait(10)


def urls(videos: MediaHost, prefix: str = "") -> dict[str, str]:
    return {
        role: videos.url(f"{prefix}{role.removesuffix('_video')}.mp4")
        for role in ("dataset_video", "consent_video")
    }


def state_names(api: PrefectApi, run: str) -> list[str]:
    return [state["name"] for state in api.states(run)]


def test_worker_runs_suspend_and_finish_by_outcome(
    api: PrefectApi, pool: str, simulated: ArgilSimulator, videos: MediaHost, sample_folder: Path, tmp_path: Path
) -> None:
    prefix = uuid.uuid4().hex
    for name in ("dataset.mp4", "consent.mp4"):
        copy_as_another_recording(sample_folder / name, sample_folder / f"{prefix}{name}")
    requests: dict[str, dict[str, Any]] = {
        "Ready": {"name": "Ada", **urls(videos)},
        "Refused": {"name": "Eve", **urls(videos, prefix), "extras": {"simulator": "refuse"}},
    }
    with worker(pool, tmp_path):
        runs = {
            state: api.create_run("provision-avatar/on-demand", {"request": request}).json()["id"]
            for state, request in requests.items()
        }
        assert {state: api.wait_for_final_state(run)["name"] for state, run in runs.items()} == {
            state: state for state in requests
        }
    for run in runs.values():
        assert "Suspended" in state_names(api, run)
    assert any(run["parent_task_run_id"] for run in api.runs_of("refused"))
    assert len(simulated.account.avatars) == 2


@pytest.mark.parametrize(("include_runs", "state"), [(False, "CRASHED"), (True, "RUNNING")], ids=["worker", "both"])
def test_next_worker_recovers_the_run_of_a_killed_worker(
    api: PrefectApi,
    pool: str,
    simulated: ArgilSimulator,
    videos: MediaHost,
    tmp_path: Path,
    *,
    include_runs: bool,
    state: str,
) -> None:
    """A surviving process reports its run as crashed; a killed one leaves it in RUNNING."""
    request = {"name": "Ada", **urls(videos)}
    with worker(pool, tmp_path) as first:
        run = api.create_run("provision-avatar/on-demand", {"request": request, "wait": "block"}).json()["id"]
        wait_for(lambda: simulated.account.avatars or None, "the submission")
        kill(first, include_runs=include_runs)
    wait_for(lambda: api.call("GET", f"/flow_runs/{run}").json()["state_type"] == state or None, state)
    with worker(pool, tmp_path):
        wait_for(lambda: "AwaitingRetry" in state_names(api, run) or None, "the schedule")
        assert api.wait_for_final_state(run)["name"] == "Ready"
    assert len(simulated.account.posts) == 1
