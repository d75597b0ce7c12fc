"""Fifty concurrent runs on one `avatars up`: suspended runs need no process, and every run gets its final state."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from tests.stack import RunningStack, wait_for

RUNS = 50
MAX_MEGABYTES = 600
IDLE_PROCESSES = 5
"""The server, the runner, the two processes from which runs are forked, and the webhook receiver."""
FINISH_TIMEOUT_SECONDS = 180
"""How long after the end of the last training the last run may finish."""

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(900)]


class Stack(RunningStack):
    """A stack with the default schedules, once per minute, and trainings that outlast the starts of all runs."""

    training_seconds = 240
    fast_settings: ClassVar[Mapping[str, str]] = {}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path) as running:
        yield running


def memory_megabytes(up: RunningStack) -> float:
    """Return the memory of the stack's processes; shared memory is counted once."""
    kilobytes = 0
    for pid in [up.process.pid, *up.process_ids()]:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):  # it has exited since it was listed
            continue
        kilobytes += int(re.findall(r"^Pss: +(\d+) kB$", rollup, re.MULTILINE)[0])
    return kilobytes / 1024


def list_avatars(up: RunningStack) -> list[dict[str, Any]]:
    """Return the avatars at the simulator."""
    base = up.printed(r"^Argil +(\S+)").removesuffix("/v1")
    avatars: list[dict[str, Any]] = httpx.get(f"{base}/_simulator/avatars", trust_env=False).json()
    return avatars


def test_fifty_suspended_runs_need_little_memory(up: Stack, record_property: Callable[[str, object], None]) -> None:
    names = [f"avatar {number}" for number in range(RUNS)]
    for name in names:
        created = up.api.create_run("provision-avatar/on-demand", {"request": up.request(name)})
        assert created.status_code == 201

    def all_are(state: str) -> bool | None:
        return Counter(run["state_name"] for run in up.api.runs_of("provision-avatar")) == {state: RUNS} or None

    wait_for(lambda: all_are("Suspended"), "all runs suspended")
    wait_for(lambda: len(up.process_ids()) <= IDLE_PROCESSES or None, "the exit of the last run's process")
    trained_at = [
        datetime.fromisoformat(avatar["createAt"]).timestamp() + up.training_seconds for avatar in list_avatars(up)
    ]
    assert time.time() < min(trained_at), "nothing to measure: the first training ended before the last run started"
    peak = 0.0
    while time.time() < min(trained_at):
        peak = max(peak, memory_megabytes(up))
        time.sleep(0.5)
    wait_for(lambda: all_are("Ready"), "all runs ready", max(trained_at) + FINISH_TIMEOUT_SECONDS - time.time())
    record_property("megabytes", round(peak))
    record_property("seconds_after_the_last_training", round(time.time() - max(trained_at)))
    assert sorted(avatar["name"] for avatar in list_avatars(up)) == sorted(names)
    assert peak <= MAX_MEGABYTES
