"""Many idle ticks: Prefect's database, descriptors, threads and memory of `avatars up` stop growing."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from tests.stack import RunningStack, wait_for

TICKS = int(os.environ.get("AVATARS_TEST_TICKS", "120"))
"""Ticks of both schedules together; 2880 are those of 24 hours."""
TABLES = (
    "flow_run",
    "flow_run_state",
    "task_run",
    "task_run_state",
    "log",
    "artifact",
    "events",
    "event_resources",
)
GROWTH_LIMIT = 1.25
"""The second half may have this many times the rows of the first one: the clean-up runs at intervals."""
PREFECT_DATABASE = Path(".avatars/prefect/prefect.db")
SAMPLED_TICKS = 10
"""Ticks during which the lowest usage counts: each run that is in progress holds connections of the server."""
MAX_NEW_DESCRIPTORS = 10
MAX_NEW_MEGABYTES = 15

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(max(1200, TICKS * 10))]


class TickingStack(RunningStack):
    """A stack whose schedules run every three seconds and whose events stay for ten seconds.

    A busy machine of two cores follows these schedules. If they are faster than it, most runs are skipped as
    overdue, and the test takes several times as long.
    """

    fast_settings: ClassVar[Mapping[str, str]] = {
        "AVATARS_RECONCILE_INTERVAL_SECONDS": "3",
        "AVATARS_PENDING_INTERVAL_SECONDS": "3",
        "AVATARS_EVENT_RETENTION_SECONDS": "10",
    }


@dataclass(frozen=True)
class Usage:
    """What the stack uses at one moment."""

    rows: Mapping[str, int]
    descriptors: int
    threads: int
    megabytes: float


def prefect_database(up: RunningStack) -> contextlib.closing[sqlite3.Connection]:
    """Read the database itself: the test is to cost the server nothing."""
    return contextlib.closing(sqlite3.connect(up.home / PREFECT_DATABASE, timeout=60))


def count_descriptors(folder: Path, database: Path) -> int:
    """Count the open files of a process without those of the database itself.

    SQLite keeps the descriptors of closed connections for later ones, because closing one would release the locks
    of the others: their number is that of the busiest moment. An open connection has one of the WAL, too.
    """
    targets = []
    for descriptor in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            targets.append(descriptor.readlink())
    return sum(target != database for target in targets)


def read_usage(up: RunningStack) -> Usage:
    with prefect_database(up) as database:
        rows = {
            table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608  # constants
            for table in TABLES
        }
    totals: Counter[str] = Counter()
    for pid in [up.process.pid, *up.process_ids()]:
        with contextlib.suppress(FileNotFoundError):  # a run that has ended
            if b"multiprocessing.forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes():
                continue  # its runs share its command line; each tick is one of them
            totals["descriptors"] += count_descriptors(
                Path(f"/proc/{pid}/fd"), (up.home / PREFECT_DATABASE).resolve()
            )
            totals["threads"] += len([*Path(f"/proc/{pid}/task").iterdir()])
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            totals["bytes"] += pages * os.sysconf("SC_PAGE_SIZE")
    return Usage(rows, totals["descriptors"], totals["threads"], totals["bytes"] / 1e6)


def lowest(samples: list[Usage]) -> Usage:
    return Usage(
        samples[-1].rows,
        min(sample.descriptors for sample in samples),
        min(sample.threads for sample in samples),
        min(sample.megabytes for sample in samples),
    )


def test_idle_ticks_leave_nothing_behind(tmp_path: Path) -> None:
    seen: set[str] = set()

    def has_ticked(count: int) -> bool | None:
        with prefect_database(up) as database:
            idle = database.execute("SELECT id FROM flow_run WHERE state_name = 'Idle'").fetchall()
        seen.update(run_id for (run_id,) in idle)
        return len(seen) >= count or None

    def usage_after(ticks: int) -> Usage:
        wait_for(lambda: has_ticked(ticks), f"{ticks} ticks", TICKS * 5)
        samples: list[Usage] = []

        def has_sampled() -> bool | None:
            samples.append(read_usage(up))
            return has_ticked(ticks + SAMPLED_TICKS)

        wait_for(has_sampled, f"{SAMPLED_TICKS} more ticks", SAMPLED_TICKS * 60)
        return lowest(samples)

    with TickingStack(tmp_path) as up:
        first, second = usage_after(TICKS // 2), usage_after(TICKS)
    grown = {
        table: (first.rows[table], rows)
        for table, rows in second.rows.items()
        if rows > GROWTH_LIMIT * first.rows[table] + 20
    }
    assert grown == {}, (first, second)
    assert second.descriptors <= first.descriptors + MAX_NEW_DESCRIPTORS, (first, second)
    assert second.threads <= first.threads + MAX_NEW_DESCRIPTORS, (first, second)
    assert second.megabytes <= first.megabytes + MAX_NEW_MEGABYTES, (first, second)
