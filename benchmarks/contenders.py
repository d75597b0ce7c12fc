"""Who is measured: this project and its peers, each as a command that does the same job."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.world import World

POLL_SECONDS = 5.0
NO_LIMIT = "100000"
"""Requests a second: the peers have no limit, so neither have we."""


@dataclass(frozen=True)
class Task:
    """So many avatars to make in a world; `folder` is empty at the beginning."""

    world: World
    count: int
    folder: Path


def _module(name: str) -> Callable[[Task], list[str]]:
    return lambda _task: [sys.executable, "-m", name]


def _noticed_by_peer(task: Task) -> dict[str, float]:
    noticed: dict[str, float] = json.loads((task.folder / "noticed.json").read_text())
    return noticed


def _batch(task: Task) -> list[str]:
    """Write the manifest, and return our command for it."""
    dataset, consent = (
        next(url for url in task.world.videos if url.endswith(f"/{role}.mp4")) for role in ("dataset", "consent")
    )
    rows = (
        {"name": f"avatar {number}", "dataset_video": dataset, "consent_video": consent}
        for number in range(task.count)
    )
    manifest = task.folder / "manifest.jsonl"
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return [sys.executable, "-m", "cli", "batch", str(manifest)]


def _noticed_by_us(task: Task) -> dict[str, float]:
    query = """
        SELECT provisionings.avatar_id, events.at FROM events
        JOIN provisionings ON provisionings.id = events.provisioning_id WHERE events.to_status = 'READY'
    """
    with sqlite3.connect(task.folder / "ledger.db") as ledger:
        found = ledger.execute(query).fetchall()
    return {avatar: datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() for avatar, at in found}


@dataclass(frozen=True)
class Contender:
    """One way to do the job."""

    name: str
    words: Callable[[Task], list[str]]
    noticed: Callable[[Task], dict[str, float]] = _noticed_by_peer
    """By avatar id: when its end was known and recorded, as a wall time in seconds."""
    environment: Mapping[str, str] = field(default_factory=dict)
    uses_prefect: bool = False

    def settings(self, task: Task) -> dict[str, str]:
        """Return the environment that its command needs."""
        return {
            **task.world.settings,
            "BENCHMARK_COUNT": str(task.count),
            "BENCHMARK_POLL_SECONDS": str(POLL_SECONDS),
            "BENCHMARK_FOLDER": str(task.folder),
            "HOME": str(task.folder),
            "AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{task.folder / 'ledger.db'}",
            "AVATARS_POLL_FLOOR_SECONDS": str(POLL_SECONDS),
            "AVATARS_REQUESTS_PER_SECOND": NO_LIMIT,
            **self.environment,
        }


BARE = Contender("bare asyncio + httpx", _module("benchmarks.peers.bare"))
OURS = Contender(
    "avatars batch, the same steps", _batch, _noticed_by_us, {"AVATARS_MEDIA_CHECK": "off"}, uses_prefect=True
)
OURS_CHECKED = Contender("avatars batch, with both videos checked", _batch, _noticed_by_us, uses_prefect=True)
DBOS = Contender("DBOS on SQLite", _module("benchmarks.peers.on_dbos"))
PLAIN_PREFECT = Contender("plain Prefect", _module("benchmarks.peers.plain_prefect"), uses_prefect=True)

CONTENDERS = (BARE, OURS, OURS_CHECKED, DBOS, PLAIN_PREFECT)
