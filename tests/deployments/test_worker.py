"""A process work pool with a real worker: the same deployments, the same ends, and a worker that is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator, running_argil
from tests.stack import Api, until
from tests.workers import work_pool, worker

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(300)]

TRAINING_SECONDS = 6.0


@pytest.fixture
def simulated(
    videos: MediaHost, sample_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ArgilSimulator]:
    """A training long enough to sleep, or to be killed, in the middle of."""
    with running_argil(api_key="canary-api-key", training_seconds=TRAINING_SECONDS) as argil:
        for name, value in {
            "ARGIL_API_URL": argil.api_url,
            "ARGIL_API_KEY": argil.api_key,
            "AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}",
            "AVATARS_MEDIA_ALLOWED_HOSTS": "127.0.0.1",
            "AVATARS_POLL_FLOOR_SECONDS": "0.2",
            "AVATARS_HOLD_SECONDS": "0",
            "AVATARS_RECONCILE_SECONDS": "8",
            "SSL_CERT_FILE": str(videos.ca_file),
        }.items():
            monkeypatch.setenv(name, value)
        yield argil


@pytest.fixture
def api(prefect_api_url: str) -> Iterator[Api]:
    opened = Api(prefect_api_url)
    yield opened
    opened.close()


@pytest.fixture
def pool(api: Api, simulated: ArgilSimulator) -> Iterator[str]:
    with work_pool(api) as name:
        yield name


def kill(process: subprocess.Popen[bytes], *, runs_too: bool) -> None:
    """kill -9 to the worker, with or without all that it has started: then nobody can tell Prefect of it."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listed.splitlines())}
    family = [process.pid]
    for pid in family:
        family += [child for child, parent in parents.items() if parent == pid and runs_too]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in family:
            os.kill(pid, number)
    process.wait(10)


def urls(videos: MediaHost, prefix: str = "") -> dict[str, str]:
    return {
        role: videos.url(f"{prefix}{role.removesuffix('_video')}.mp4")
        for role in ("dataset_video", "consent_video")
    }


def names_of_states(api: Api, run: str) -> list[str]:
    return [state["name"] for state in api.states(run)]


def test_runs_by_the_api_sleep_and_end_by_name_on_a_worker(
    api: Api, pool: str, simulated: ArgilSimulator, videos: MediaHost, sample_folder: Path, tmp_path: Path
) -> None:
    own = uuid.uuid4().hex
    for name in ("dataset.mp4", "consent.mp4"):
        shutil.copyfile(sample_folder / name, sample_folder / f"{own}{name}")
    requests: dict[str, dict[str, Any]] = {
        "Ready": {"name": "Ada", **urls(videos)},
        "Refused": {"name": "Eve", **urls(videos, own), "extras": {"simulator": "refuse"}},
    }
    with worker(pool, tmp_path):
        runs = {
            end: api.create_run("provision-avatar/on-demand", {"request": request}).json()["id"]
            for end, request in requests.items()
        }
        assert {end: api.end_of(run)["name"] for end, run in runs.items()} == {end: end for end in requests}
    for run in runs.values():
        assert "Suspended" in names_of_states(api, run)
    assert any(run["parent_task_run_id"] for run in api.runs_of("refused"))
    assert len(simulated.world.avatars) == 2


@pytest.mark.parametrize(("runs_too", "left"), [(False, "CRASHED"), (True, "RUNNING")], ids=["worker", "both"])
def test_a_run_whose_worker_was_killed_is_taken_up_by_the_schedule_of_the_next(
    api: Api, pool: str, simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path, *, runs_too: bool, left: str
) -> None:
    """Prefect's run ends itself when its worker is gone, if it can."""
    request = {"name": "Ada", **urls(videos)}
    with worker(pool, tmp_path) as first:
        run = api.create_run("provision-avatar/on-demand", {"request": request, "wait": "hold"}).json()["id"]
        until(lambda: simulated.world.avatars or None, "the create")
        kill(first, runs_too=runs_too)
    until(lambda: api.call("GET", f"/flow_runs/{run}").json()["state_type"] == left or None, left)
    with worker(pool, tmp_path):
        until(lambda: "AwaitingRetry" in names_of_states(api, run) or None, "the schedule")
        assert api.end_of(run)["name"] == "Ready"
    assert len(simulated.world.posts) == 1
