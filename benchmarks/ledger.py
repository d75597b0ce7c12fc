"""Compares a ledger of 1,000 provisionings with one of 1,000,000, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.postgresql import postgresql_databases
from benchmarks.seed_ledger import BASE_ROWS, BATCH_ID, CREATOR_ID, IN_FLIGHT, NAME, TEAM, seed, seeded_id
from models.clock import SystemClock
from models.provisioning import LeaseOwner, Provisioning, Status
from models.request import ProvisioningRequest
from store.batches import BatchRepository
from store.database import Database
from store.latest_page import LatestPage
from store.ledger import Ledger
from store.suspended_runs import SuspendedRunRepository

ENGINES = ("sqlite", "postgresql")
ROWS = 1_000_000
LIFECYCLES = 300
"""Provisionings per ledger that go from ACCEPTED to READY, in three transitions each."""
WARM_UP = 20
QUERY_REPETITIONS = 15
"""How often each query is repeated."""
TRANSITION = "commit a transition"


@dataclass(frozen=True)
class Row:
    """The median time of one operation with few rows and with many."""

    engine: str
    operation: str
    few_rows: int
    many_rows: int
    few_ms: float
    many_ms: float

    @property
    def ratio(self) -> float:
        """Time with many rows divided by time with few rows."""
        return self.many_ms / self.few_ms


def measure(
    rows: int = ROWS,
    *,
    engines: Sequence[str] = ENGINES,
    lifecycles: int = LIFECYCLES,
    report_progress: Callable[[str], object] = print,
) -> list[Row]:
    """Seed databases in a temporary folder and measure each operation on each engine."""
    measured: list[Row] = []
    for engine in engines:
        with tempfile.TemporaryDirectory(prefix="avatars-bench-") as name, _urls(engine, Path(name)) as urls:
            for url, count in zip(urls, (BASE_ROWS, rows), strict=True):
                started_at = time.monotonic()
                asyncio.run(seed(url, count))
                report_progress(f"{engine}: {count} provisionings in {time.monotonic() - started_at:.0f} s")
            measured += asyncio.run(_measure(engine, urls, rows, lifecycles))
    return measured


@contextmanager
def _urls(engine: str, folder: Path) -> Iterator[list[str]]:
    """Yield the URLs of two empty databases."""
    if engine == "sqlite":
        yield [f"sqlite+aiosqlite:///{folder / name}.db" for name in ("few", "many")]
        return
    with postgresql_databases(folder, ("few", "many")) as urls:
        yield urls


@asynccontextmanager
async def _ledger(url: str) -> AsyncIterator[Ledger]:
    database = Database(url)
    try:
        yield Ledger(database, SystemClock())
    finally:
        await database.close()


async def _measure(engine: str, urls: list[str], rows: int, lifecycles: int) -> list[Row]:
    async with AsyncExitStack() as stack:
        ledgers = [await stack.enter_async_context(_ledger(url)) for url in urls]
        times_by_operation: dict[str, tuple[list[float], list[float]]] = {TRANSITION: ([], [])}
        for number in range(WARM_UP + lifecycles):
            for ledger, times in zip(ledgers, times_by_operation[TRANSITION], strict=True):
                transition_times = await _run_lifecycle(ledger)
                if number >= WARM_UP:
                    times.extend(transition_times)
        for operation, query in (await _queries()).items():
            times_by_operation[operation] = ([], [])
            for number in range(1 + QUERY_REPETITIONS):
                for ledger, times in zip(ledgers, times_by_operation[operation], strict=True):
                    started_at = time.perf_counter()
                    await query(ledger)
                    if number:
                        times.append(time.perf_counter() - started_at)
    return [
        Row(engine, operation, BASE_ROWS, rows, *(statistics.median(times) * 1000 for times in both))
        for operation, both in times_by_operation.items()
    ]


async def _run_lifecycle(ledger: Ledger) -> list[float]:
    """Advance one provisioning from ACCEPTED to READY; return the seconds of each transition."""
    owner = LeaseOwner(actor="benchmark", id=str(uuid.uuid4()), flow_run_id=str(uuid.uuid4()))
    key = str(uuid.uuid4())
    request = ProvisioningRequest(
        name=f"Ada {key}",
        dataset_video=f"https://videos.example/{key}/dataset.mp4?X-Amz-Signature={64 * '0'}",
        consent_video=f"https://videos.example/{key}/consent.mp4?X-Amz-Signature={64 * '0'}",
    )
    provisioning, _ = await ledger.get_or_create(request, key, owner)
    times: list[float] = []

    async def move(new_status: Status, **columns: Any) -> Provisioning:
        started_at = time.perf_counter()
        moved = await ledger.transition(
            provisioning, owner, f"status of {key} changed at Argil", new_status=new_status, **columns
        )
        times.append(time.perf_counter() - started_at)
        return moved

    provisioning = await move(Status.SUBMITTING)
    provisioning = await move(Status.TRAINING, avatar_id=str(uuid.uuid4()), training_started_at=SystemClock().now())
    provisioning = await move(Status.READY, raw_status="IDLE", avatar={"id": key, "status": "IDLE"})
    return times


def _filters() -> dict[str, Callable[[Ledger], Awaitable[object]]]:
    """Return a page of `avatars list` for each filter."""
    ready = seeded_id(sum(IN_FLIGHT.values()) + 1, Status.READY)
    pages = {
        "--batch": LatestPage(200, batch_id=BATCH_ID),
        "--batch --status READY": LatestPage(200, [Status.READY], batch_id=BATCH_ID),
        "--name": LatestPage(200, name=NAME),
        "--reference": LatestPage(200, reference=f"{ready}-creator"),
        "--avatar-id": LatestPage(200, avatar_id=ready),
        "--extra, of all": LatestPage(200, extras={TEAM: "berlin"}),
        "--extra, of one": LatestPage(200, extras={CREATOR_ID: ready}),
        "--since": LatestPage(200, since=SystemClock().now() - timedelta(days=1)),
    }
    return {f"`avatars list {options}`": partial(Ledger.list_page, page=page) for options, page in pages.items()}


async def _queries() -> dict[str, Callable[[Ledger], Awaitable[object]]]:
    clock = SystemClock()

    async def next_page(ledger: Ledger) -> object:
        first = await ledger.list_page(LatestPage(200))
        return await ledger.list_page(LatestPage(200, after=first[-1].sort_key))

    async def batches(ledger: Ledger) -> object:
        repository = BatchRepository(ledger.database, clock)
        listed = await repository.list_page(1)
        return await repository.count_by_status([batch.id for batch in listed])

    async def show(ledger: Ledger) -> object:
        [provisioning] = await ledger.list_latest(Status.READY, 1)
        return (
            await ledger.get(provisioning.reference),
            await ledger.list_events(provisioning.id),
            await ledger.list_submissions(provisioning.id),
        )

    async def reconcile(ledger: Ledger) -> None:
        for status in (Status.ACCEPTED, Status.SUBMITTING, Status.TRAINING):
            await ledger.list_unleased(status)
        await ledger.list_timed_out(clock.now() - timedelta(days=7))
        await ledger.find_open_by_flow_run_ids([str(uuid.uuid4())])
        await SuspendedRunRepository(ledger.database, clock).list_with_terminal_provisioning()

    async def fleet(ledger: Ledger) -> None:
        await ledger.count_by_status()
        for status in Status:
            await ledger.list_latest(status, 100)

    return {
        "`avatars list`, first page of 200": lambda ledger: ledger.list_page(LatestPage(200)),
        "`avatars list`, first two pages": next_page,
        "`avatars list --status READY --status REFUSED`, 200": lambda ledger: ledger.list_page(
            LatestPage(200, [Status.READY, Status.REFUSED])
        ),
        **_filters(),
        "`avatars batches --limit 1`": batches,
        "`avatars show`": show,
        "provisioning of a webhook delivery": lambda ledger: ledger.find_unleased_provisioning(str(uuid.uuid4())),
        "queries of `avatars reconcile`": reconcile,
        "fleet report, counts": lambda ledger: ledger.count_by_status(),
        "fleet report, complete": fleet,
    }
