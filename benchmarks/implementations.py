"""The implementations to compare: this project and the baselines, each a command that does the same job."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.simulator_process import SimulatorProcess

POLL_SECONDS = 5.0
NO_LIMIT = "100000"
"""Requests per second: the baselines have no rate limit, so this project runs without one."""


@dataclass(frozen=True)
class Workload:
    """Provision `count` avatars at a simulator; `folder` is empty at the start."""

    simulator: SimulatorProcess
    count: int
    folder: Path


def _module(name: str) -> Callable[[Workload], list[str]]:
    return lambda _workload: [sys.executable, "-m", name]


def _read_baseline_times(workload: Workload) -> dict[str, float]:
    times: dict[str, float] = json.loads((workload.folder / "detected.json").read_text())
    return times


def _batch(workload: Workload) -> list[str]:
    """Write the manifest and return the `avatars batch` command for it."""
    videos = workload.simulator.videos
    dataset, consent = (
        next(url for url in videos if url.endswith(f"/{role}.mp4")) for role in ("dataset", "consent")
    )
    rows = (
        {"name": f"avatar {number}", "dataset_video": dataset, "consent_video": consent}
        for number in range(workload.count)
    )
    manifest = workload.folder / "manifest.jsonl"
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return [sys.executable, "-m", "cli", "batch", "--allow-shared-recordings", "--yes", str(manifest)]


def _read_ledger_times(workload: Workload) -> dict[str, float]:
    query = """
        SELECT provisionings.avatar_id, MIN(events.occurred_at) FROM events
        JOIN provisionings ON provisionings.id = events.provisioning_id WHERE events.to_status = 'READY'
        GROUP BY provisionings.avatar_id  -- a voice that is found later is another event
    """
    with sqlite3.connect(workload.folder / "ledger.db") as ledger:
        rows = ledger.execute(query).fetchall()
    return {avatar_id: datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() for avatar_id, at in rows}


@dataclass(frozen=True)
class Implementation:
    """One way to provision a workload."""

    name: str
    command: Callable[[Workload], list[str]]
    detection_times: Callable[[Workload], dict[str, float]] = _read_baseline_times
    """By avatar id: when its terminal status was detected and recorded, as a wall time in seconds."""
    environment: Mapping[str, str] = field(default_factory=dict)
    uses_prefect: bool = False

    def settings(self, workload: Workload) -> dict[str, str]:
        """Return the environment variables of the command."""
        return {
            **workload.simulator.settings,
            "BENCHMARK_COUNT": str(workload.count),
            "BENCHMARK_POLL_SECONDS": str(POLL_SECONDS),
            "BENCHMARK_FOLDER": str(workload.folder),
            "HOME": str(workload.folder),
            "AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{workload.folder / 'ledger.db'}",
            "AVATARS_POLL_MIN_SECONDS": str(POLL_SECONDS),
            "AVATARS_REQUESTS_PER_SECOND": NO_LIMIT,
            **self.environment,
        }


ASYNCIO_HTTPX = Implementation("bare asyncio + httpx", _module("benchmarks.baselines.asyncio_httpx"))
AVATARS_BATCH = Implementation(
    "avatars batch, no video validation",
    _batch,
    _read_ledger_times,
    {"AVATARS_MEDIA_CHECK": "off"},
    uses_prefect=True,
)
AVATARS_BATCH_WITH_MEDIA_CHECK = Implementation(
    "avatars batch, both videos validated", _batch, _read_ledger_times, uses_prefect=True
)
DBOS = Implementation("DBOS on SQLite", _module("benchmarks.baselines.dbos"))
PLAIN_PREFECT = Implementation("plain Prefect", _module("benchmarks.baselines.plain_prefect"), uses_prefect=True)

IMPLEMENTATIONS = (ASYNCIO_HTTPX, AVATARS_BATCH, AVATARS_BATCH_WITH_MEDIA_CHECK, DBOS, PLAIN_PREFECT)
