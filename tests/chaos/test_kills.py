"""Real processes, killed at random moments: of the stack, whatever dies, and of the runs it holds."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Set
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator, running_argil
from tests.chaos.counts import LEAST_KILLS, LONG, Counts
from tests.stack import ENDED, Up, until

KILLS = LEAST_KILLS if LONG else 2
RUNS_PER_KILL = 2
RUNNING = 0.5
"""The share of kills that come once a run is at work, however long the start takes; the others may come before."""
LONGEST_PAUSE_SECONDS = 6.0
PATIENCE_SECONDS = 1500 if LONG else 180
"""What was held up by every kill comes to its end after the last one, on a busy machine too."""
SEED = int(os.environ.get("AVATARS_CHAOS_SEED", "11"))
FAULTS = ["", "", "fail", "cut-after-create", "error-after-create", "cut-before-create", "unavailable", "late-get"]
VICTIMS = ["both", "server", "run", "runner", "up"]

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(7200 if LONG else 600)]


class Stack(Up):
    """`avatars up` against a simulator outside of it, which survives whatever is killed."""

    kept_from_it: ClassVar[Set[str]] = {"PREFECT_API_URL"}

    def words(self) -> list[str]:
        return []

    def pids(self, victim: str) -> list[int] | None:
        """The processes to kill; None where none of them lives now."""
        listed = subprocess.run(
            ["ps", "-wweo", "pid=,ppid=,pgid=,args="], capture_output=True, text=True, check=True
        ).stdout
        rows = [line.split(None, 3) for line in listed.splitlines()]
        words = {int(pid): command for pid, _, _, command in rows}
        parents = {int(pid): int(parent) for pid, parent, _, _ in rows}
        groups = {int(pid): int(group) for pid, _, group, _ in rows}
        [runner] = [pid for pid in parents if parents[pid] == self.process.pid and "runner" in words[pid]]
        [server] = [pid for pid in parents if parents[pid] == self.process.pid and "prefect server" in words[pid]]
        forks = [pid for pid in parents if parents[pid] == runner]
        found = {
            "up": [self.process.pid],
            "server": [server],
            "runner": [runner],
            "run": [pid for pid in parents if parents[pid] in forks][:1],
            "both": [pid for pid in groups if groups[pid] == runner],
        }
        return found[victim] or None


@pytest.fixture
def argil(videos: MediaHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArgilSimulator]:
    with running_argil(api_key="canary-api-key", training_seconds=5.0) as running:
        for name, value in {
            "ARGIL_API_URL": running.api_url,
            "ARGIL_API_KEY": running.api_key,
            "AVATARS_MEDIA_ALLOWED_HOSTS": "127.0.0.1",
            "AVATARS_LOOKUP_GRACE_SECONDS": "5",
            "SSL_CERT_FILE": str(videos.ca_file),
        }.items():
            monkeypatch.setenv(name, value)
        yield running


def test_whatever_is_killed_every_avatar_is_made_once_and_every_run_ends(
    argil: ArgilSimulator, videos: MediaHost, tmp_path: Path, counts: Counts
) -> None:
    chance = random.Random(SEED)  # noqa: S311  # it is to be repeatable
    faults: dict[str, str] = {}
    stack = Stack(tmp_path)
    while counts.kills < KILLS:
        for _ in range(RUNS_PER_KILL):
            fault = chance.choice(FAULTS)
            name = f"avatar {len(faults)} {fault}"
            faults[name] = fault
            request = {
                "name": name,
                "dataset_video": videos.url("dataset.mp4"),
                "consent_video": videos.url("consent.mp4"),
                "extras": {"simulator": fault} if fault else {},
            }
            parameters = {"request": request, "wait": chance.choice(["suspend", "hold"])}
            assert stack.api.create_run("provision-avatar/on-demand", parameters).status_code == 201
        if chance.random() < RUNNING:
            until(partial(stack.pids, "run"), "a run at work")
        time.sleep(chance.uniform(0, LONGEST_PAUSE_SECONDS))  # a random moment
        victim = VICTIMS[counts.kills % len(VICTIMS)]
        counts.kills += kill(until(partial(stack.pids, victim), victim))
        if victim != "run":
            assert stack.process.wait(100) != 0
            stack.forget()
            stack = Stack(tmp_path)
    statuses = until(
        lambda: settled(tmp_path / ".avatars/avatars.db", len(faults)), "an end of each", PATIENCE_SECONDS
    )
    made = Counter(avatar["name"] for avatar in argil.world.avatars)
    counts.lost += sum(made[name] < 1 for name in faults)
    counts.duplicated += sum(made[name] > 1 for name in faults)
    assert made == Counter(faults.keys())
    assert statuses == {name: "TRAINING_FAILED" if fault == "fail" else "READY" for name, fault in faults.items()}
    until(lambda: all_ended(stack) or None, "an end of every run", PATIENCE_SECONDS)
    assert stack.end() == 0


def kill(pids: list[int]) -> bool:
    """Kill them as one; returns whether any was there still: what had ended by itself is no kill."""
    killed = False
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed = True
    return killed


def settled(ledger: Path, expected: int) -> dict[str, str] | None:
    with contextlib.closing(sqlite3.connect(ledger, timeout=30)) as database:
        rows = database.execute("SELECT json_extract(request, '$.name'), status FROM provisionings").fetchall()
    under_way = {"ACCEPTED", "SUBMITTING", "TRAINING"}
    return dict(rows) if len(rows) == expected and not under_way & {status for _, status in rows} else None


def all_ended(stack: Stack) -> bool:
    runs = stack.api.runs_of("provision-avatar")
    return all(run["state_type"] in ENDED for run in runs)
