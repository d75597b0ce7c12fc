"""Kills real processes of the stack and its flow runs at random moments."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator, run_argil
from tests.chaos.totals import LONG_RUN, MIN_KILLS, ChaosTotals
from tests.stack import FINAL_STATE_TYPES, RunningStack, wait_for

KILLS = MIN_KILLS if LONG_RUN else 2
RUNS_PER_KILL = 2
RUNNING_SHARE = 0.5
"""The share of kills that wait until a flow run has a process; the others may come earlier."""
MAX_PAUSE_SECONDS = 6.0
TIMEOUT_SECONDS = 1500 if LONG_RUN else 180
"""Time for all runs to finish after the last kill, also on a busy machine."""
SEED = int(os.environ.get("AVATARS_CHAOS_SEED", "11"))
FAULTS = ["", "", "fail", "cut-after-create", "error-after-create", "cut-before-create", "unavailable", "late-get"]
VICTIMS = ["both", "server", "run", "runner", "up"]

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(7200 if LONG_RUN else 600)]


class Stack(RunningStack):
    """`avatars up` against a simulator in the test process, which survives every kill."""

    configured: ClassVar[Mapping[str, str]] = {}
    excluded_environment: ClassVar[Set[str]] = {"PREFECT_API_URL"}

    def args(self) -> list[str]:
        return []

    def pids(self, victim: str) -> list[int] | None:
        """Return the ids of the processes to kill, or None if none of them is running."""
        output = subprocess.run(
            ["ps", "-wweo", "pid=,ppid=,pgid=,args="], capture_output=True, text=True, check=True
        ).stdout
        rows = [line.split(None, 3) for line in output.splitlines()]
        commands = {int(pid): command for pid, _, _, command in rows}
        parents = {int(pid): int(parent) for pid, parent, _, _ in rows}
        groups = {int(pid): int(group) for pid, _, group, _ in rows}
        [runner] = [pid for pid in parents if parents[pid] == self.process.pid and "runner" in commands[pid]]
        [server] = [
            pid for pid in parents if parents[pid] == self.process.pid and "server_process" in commands[pid]
        ]
        forks = [pid for pid in parents if parents[pid] == runner]
        pids_by_victim = {
            "up": [self.process.pid],
            "server": [server],
            "runner": [runner],
            "run": [pid for pid in parents if parents[pid] in forks][:1],
            "both": [pid for pid in groups if groups[pid] == runner],
        }
        return pids_by_victim[victim] or None


@pytest.fixture
def argil(videos: MediaHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArgilSimulator]:
    with run_argil(api_key="canary-api-key", training_seconds=5.0) as running:
        for name, value in {
            "ARGIL_API_URL": running.api_url,
            "ARGIL_API_KEY": running.api_key,
            "AVATARS_MEDIA_ALLOWED_HOSTS": "127.0.0.1",
            "AVATARS_LOOKUP_GRACE_SECONDS": "5",
            "AVATARS_GONE_AFTER_SECONDS": "5",
            "SSL_CERT_FILE": str(videos.ca_file),
        }.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def start_stack(argil: ArgilSimulator, tmp_path: Path) -> Iterator[Callable[[], Stack]]:
    with contextlib.ExitStack() as stacks:
        yield lambda: stacks.enter_context(Stack(tmp_path))


def test_kills_cause_no_lost_or_duplicated_avatars(
    start_stack: Callable[[], Stack], argil: ArgilSimulator, videos: MediaHost, tmp_path: Path, totals: ChaosTotals
) -> None:
    rng = random.Random(SEED)  # noqa: S311  # seeded: repeatable
    faults: dict[str, str] = {}
    stack = start_stack()
    while totals.kills < KILLS:
        for _ in range(RUNS_PER_KILL):
            fault = rng.choice(FAULTS)
            name = f"avatar {len(faults)} {fault}".rstrip()
            faults[name] = fault
            request = {
                "name": name,
                "dataset_video": videos.url("dataset.mp4"),
                "consent_video": videos.url("consent.mp4"),
                "extras": {"simulator": fault} if fault else {},
            }
            parameters = {"request": request, "wait": rng.choice(["suspend", "block"])}
            assert stack.api.create_run("provision-avatar/on-demand", parameters).status_code == 201
        if rng.random() < RUNNING_SHARE:
            wait_for(partial(stack.pids, "run"), "a running flow run")
        time.sleep(rng.uniform(0, MAX_PAUSE_SECONDS))  # kill at a random moment
        victim = VICTIMS[totals.kills % len(VICTIMS)]
        totals.kills += kill(wait_for(partial(stack.pids, victim), victim))
        if victim != "run":
            assert stack.process.wait(100) != 0
            stack.close()
            stack = start_stack()
    statuses = wait_for(
        lambda: final_statuses(tmp_path / ".avatars/avatars.db", len(faults)),
        "a terminal status of every provisioning",
        TIMEOUT_SECONDS,
    )
    created = Counter(avatar["name"] for avatar in argil.account.avatars)
    totals.lost += sum(created[name] < 1 for name in faults)
    totals.duplicated += sum(created[name] > 1 for name in faults)
    assert created == Counter(faults.keys())
    assert statuses == {name: "TRAINING_FAILED" if fault == "fail" else "READY" for name, fault in faults.items()}
    wait_for(lambda: all_runs_finished(stack) or None, "a final state of every run", TIMEOUT_SECONDS)
    assert stack.stop() == 0


def kill(pids: list[int]) -> bool:
    """Kill all processes; return whether any was still running, as only those count as kills."""
    killed = False
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed = True
    return killed


def final_statuses(ledger: Path, expected: int) -> dict[str, str] | None:
    """Return the statuses by name, or None until all expected provisionings are terminal."""
    with contextlib.closing(sqlite3.connect(ledger, timeout=30)) as database:
        rows = database.execute("SELECT json_extract(request, '$.name'), status FROM provisionings").fetchall()
    in_flight = {"ACCEPTED", "SUBMITTING", "TRAINING"}
    return dict(rows) if len(rows) == expected and not in_flight & {status for _, status in rows} else None


def all_runs_finished(stack: Stack) -> bool:
    runs = stack.api.runs_of("provision-avatar")
    return all(run["state_type"] in FINAL_STATE_TYPES for run in runs)
