"""Fifty runs at once on one `avatars up`: while Argil trains none is a process, and each ends by name."""

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

from tests.stack import Up, until

RUNS = 50
MOST_MEGABYTES = 600
WITHOUT_RUNS = 4
"""Processes: the server, the runner, and the two by which it starts those of runs."""
PATIENCE_SECONDS = 180
"""How long after the end of the last training the last run may end."""

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(900)]


class Stack(Up):
    """One with the schedules that an installation has, once a minute, and trainings of a minute."""

    training_seconds = 60
    hurry: ClassVar[Mapping[str, str]] = {}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Stack]:
    running = Stack(tmp_path)
    yield running
    running.end()


def megabytes(up: Up) -> float:
    """The memory of the stack's processes; what some of them share is counted once."""
    kilobytes = 0
    for pid in [up.process.pid, *up.family()]:
        try:
            told = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
            continue
        kilobytes += int(re.findall(r"^Pss: +(\d+) kB$", told, re.MULTILINE)[0])
    return kilobytes / 1024


def made(up: Up) -> list[dict[str, Any]]:
    """The avatars at the simulator."""
    base = up.printed(r"^Argil +(\S+)").removesuffix("/v1")
    avatars: list[dict[str, Any]] = httpx.get(f"{base}/_simulator/avatars", trust_env=False).json()
    return avatars


def test_fifty_runs_wait_in_little_memory_and_end_by_name(
    up: Stack, record_property: Callable[[str, object], None]
) -> None:
    names = [f"avatar {number}" for number in range(RUNS)]
    for name in names:
        created = up.api.create_run("provision-avatar/on-demand", {"request": up.request(name)})
        assert created.status_code == 201

    def all_are(state: str) -> bool | None:
        return Counter(run["state_name"] for run in up.api.runs_of("provision-avatar")) == {state: RUNS} or None

    until(lambda: all_are("Suspended"), "all of them asleep")
    until(lambda: len(up.family()) <= WITHOUT_RUNS or None, "the end of the last run's process")
    trained = [datetime.fromisoformat(avatar["createAt"]).timestamp() + up.training_seconds for avatar in made(up)]
    most = 0.0
    while time.time() < min(trained):
        most = max(most, megabytes(up))
        time.sleep(0.5)
    until(lambda: all_are("Ready"), "all of them ready", max(trained) + PATIENCE_SECONDS - time.time())
    record_property("megabytes", round(most))
    record_property("seconds_after_the_last_training", round(time.time() - max(trained)))
    assert sorted(avatar["name"] for avatar in made(up)) == sorted(names)
    assert 0 < most <= MOST_MEGABYTES
