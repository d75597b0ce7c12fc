"""How each question to the ledger is answered: from an index, never by reading everything that has ended."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from models.evidence import InputEvidence
from models.provisioning import Driver, Provisioning, Status
from models.request import ProvisioningRequest
from models.tables import (
    DeliveryRow,
    EventRow,
    EvidenceRow,
    ProvisioningRow,
    QuarantineRow,
    SleeperRow,
    SubmissionRow,
)
from store.archive import Archive
from store.database import Database
from store.deliveries import Deliveries
from store.evidence import evidence
from store.leases import Leases
from store.ledger_reader import LedgerReader
from store.provisionings import Ledger
from store.quarantine import Quarantine, Recording
from store.sleepers import Sleepers
from store.sqlite_connection import SqliteConnection
from tests.fakes import FakeClock

ENDED = 3000
READS: dict[str, Callable[[Ledger, Provisioning], Awaitable[object]]] = {
    "LedgerReader.get": lambda ledger, one: ledger.get(one.reference),
    "LedgerReader.newest": lambda ledger, _: ledger.newest(None, 9),
    "LedgerReader.page": lambda ledger, one: ledger.page(
        9, statuses=[Status.READY, Status.REFUSED], since=one.created_at, until=one.created_at, after=one
    ),
    "LedgerReader.counts": lambda ledger, _: ledger.counts(),
    "LedgerReader.unattended": lambda ledger, one: ledger.unattended(Status.TRAINING, after=one),
    "LedgerReader.timed_out": lambda ledger, one: ledger.timed_out(one.created_at, after=one),
    "LedgerReader.events": lambda ledger, one: ledger.events(one.id),
    "LedgerReader.submissions": lambda ledger, one: ledger.submissions(one.id),
    "LedgerReader.submissions_of": lambda ledger, one: ledger.submissions_of([one.id, "another"]),
    "LedgerReader.duplicates": lambda ledger, one: ledger.duplicates(one.id),
    "LedgerReader.of_submissions": lambda ledger, _: ledger.of_submissions(["s-1", "s-2"]),
    "LedgerReader.open_of_runs": lambda ledger, _: ledger.open_of_runs(["run-1", "run-2"]),
    "Deliveries.newest_id": lambda ledger, _: Deliveries(ledger.database, FakeClock()).newest_id(),
    "Deliveries.since": lambda ledger, _: Deliveries(ledger.database, FakeClock()).since(ENDED - 5),
    "Deliveries.unwatched": lambda ledger, _: Deliveries(ledger.database, FakeClock()).unwatched("a-1"),
    "Quarantine.holds": lambda ledger, _: Quarantine(ledger.database, FakeClock()).holds(
        Recording("https://a.example/a", '"etag"', 7)
    ),
    "Sleepers.has": lambda ledger, _: Sleepers(ledger.database, FakeClock()).has("run-1"),
    "Sleepers.over_ended": lambda ledger, _: Sleepers(ledger.database, FakeClock()).over_ended(),
    "Archive.count": lambda ledger, one: Archive(ledger.database, FakeClock()).count(
        one.created_at + timedelta(days=1)
    ),
    "evidence": lambda ledger, one: evidence(ledger.database, one.id),
}
WRITES = {
    "Archive.archive",  # what it reads, `count` reads
    *(
        "Deliveries.add",
        "Leases.claim",
        "Leases.claim_waiting",
        "Leases.renew",
        "Leases.renew_all",
        "Leases.release",
    ),
    *("Quarantine.put", "Quarantine.release", "Sleepers.add", "Sleepers.remove"),
}
READ_WHOLE = {
    "LedgerReader.counts": {"provisionings by an index"},  # its keys alone
    "Sleepers.over_ended": {"sleepers", "sleepers by an index"},  # as many as sleep now
}
"""What may be read from end to end."""
READ_MUCH = {"LedgerReader.counts", "Archive.count"}
"""What may read many rows: all keys, and a page of what may be archived."""


def test_every_question_is_asked_here() -> None:
    asked = {
        f"{owner.__name__}.{name}"
        for owner in (LedgerReader, Archive, Deliveries, Leases, Quarantine, Sleepers)
        for name, _ in inspect.getmembers(owner, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert asked == {name for name in READS if "." in name} | WRITES


@contextmanager
def asked_of(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The statements of the code itself, with what is put into them."""
    asked: list[tuple[str, Any]] = []

    def listen(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(database.engine.sync_engine, "before_cursor_execute", listen)
    yield asked
    event.remove(database.engine.sync_engine, "before_cursor_execute", listen)


async def read_whole(database: Database, statement: str, parameters: Any) -> set[str]:
    """Return the tables that the plan of a statement reads from end to end, and whether that is in an index."""
    async with database.reading() as connection:
        if database.is_sqlite:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            scans = [line.detail.split() for line in plan if line.detail.startswith("SCAN ")]
            tables = [
                words for words in scans if not words[1].startswith(("(", "anon_"))
            ]  # the rest it made itself
            return {_named(words[1], by_index="INDEX" in words) for words in tables}
        # Tests hold too few rows for an index to be worth its while.
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        return set(_wholes(plan.scalar_one()))


async def rows_read(database: Database, statement: str, parameters: Any) -> float:
    """Return how many rows a statement reads, also to leave them out; for SQLite its steps, which are more."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    async with database.reading() as connection:
        if database.is_sqlite:
            raw = (await connection.get_raw_connection()).driver_connection
            assert isinstance(raw, SqliteConnection)
            raw.raw.set_progress_handler(step, 1)
            (await connection.exec_driver_sql(statement, parameters)).all()
            raw.raw.set_progress_handler(None, 1)
            return steps
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
        return sum(_read(plan.scalar_one()))


def _read(parts: Any) -> Iterator[float]:
    for part in parts:
        yield part.get("Actual Loops", 0) * (part.get("Actual Rows", 0) + part.get("Rows Removed by Filter", 0))
        yield from _read([*part.get("Plans", ()), *filter(None, [part.get("Plan")])])


def _named(table: str, *, by_index: bool) -> str:
    return f"{table} by an index" if by_index else table


def _wholes(parts: Any, *, above: str = "") -> Iterator[str]:
    for part in parts:
        kind = part.get("Node Type", "")
        if kind == "Seq Scan" or (kind.startswith("Index") and "Index Cond" not in part and above != "Limit"):
            yield _named(part["Relation Name"], by_index=kind != "Seq Scan")
        yield from _wholes([*part.get("Plans", ()), *filter(None, [part.get("Plan")])], above=kind)


@pytest.fixture
async def history(database: Database, request_of_ada: ProvisioningRequest) -> Ledger:
    """A ledger in which almost everything has ended."""
    clock, driver = FakeClock(), Driver(actor="test", id="d", flow_run_id="run-1")
    ledger = Ledger(database, clock)
    opened, _ = await ledger.open(request_of_ada, "ada-1", driver)
    async with database.writing() as connection:
        row = (await connection.execute(text("SELECT * FROM provisionings"))).mappings().one()
    ids = [f"p-{number}" for number in range(ENDED)]
    common = {
        **{name: row[name] for name in ("version", "request_identity", "retrains", "submissions")},
        "request": {},
        "reasons": [],
        "created_at": clock.now(),
        "updated_at": clock.now() - timedelta(days=9),
    }
    ends = [status for status in Status if status.is_end]
    async with database.writing() as connection:
        await connection.execute(
            insert(ProvisioningRow),
            [
                common | {"id": key, "reference": key, "status": ends[number % 8], "avatar_id": f"a-{number}"}
                for number, key in enumerate(ids)
            ],
        )
        submission = {"ordinal": 1, "state": "TAKEN", "created_at": clock.now(), "state_at": clock.now()}
        told = {"at": clock.now(), "actor": "test", "to_status": "READY", "why": "."}
        video = InputEvidence.of("https://a.example/a", None).model_dump(mode="json")
        recorded = {"reference": "x", "actor": "test", "dataset": video, "consent": video, "at": clock.now()}
        kept_out = {"input_identity": "x", "at": clock.now(), "etag": '"e"'}
        delivery = {"event": "e", "body": "{}", "at": clock.now()}
        for table, values in {
            SubmissionRow: [submission | {"id": f"s-{key}", "provisioning_id": key} for key in ids],
            EvidenceRow: [recorded | {"provisioning_id": key, "submission_id": f"s-{key}"} for key in ids],
            EventRow: [told | {"provisioning_id": key} for key in ids],
            QuarantineRow: [
                kept_out | {"provisioning_id": key, "input_hash": key, "size_bytes": number}
                for number, key in enumerate(ids)
            ],
            DeliveryRow: [delivery | {"digest": key, "avatar_id": key} for key in ids],
            SleeperRow: [{"flow_run_id": "run-1", "provisioning_id": opened.id, "at": clock.now()}],
        }.items():
            await connection.execute(insert(table), values)
    return ledger


@pytest.mark.parametrize(
    ("database_url", "analyzed"),
    [
        ("sqlite", False),
        ("sqlite", True),
        pytest.param("postgresql", True, marks=pytest.mark.postgres),
    ],
    indirect=["database_url"],
)
async def test_no_question_reads_everything_that_has_ended(history: Ledger, *, analyzed: bool) -> None:
    """PostgreSQL keeps statistics of its tables by itself; SQLite has them where somebody gathered them."""
    if analyzed:
        async with history.database.writing() as connection:
            await connection.execute(text("ANALYZE"))
    one = await history.get("p-7")
    wholes, much = {}, {}
    for name, ask in READS.items():
        with asked_of(history.database) as asked:
            await ask(history, one)
        assert asked, name
        whole = set().union(*[await read_whole(history.database, *statement) for statement in asked])
        if too_much := whole - READ_WHOLE.get(name, set()):
            wholes[name] = too_much
        read = max([await rows_read(history.database, *statement) for statement in asked])
        if read > ENDED and name not in READ_MUCH:
            much[name] = read
    assert (wholes, much) == ({}, {})
