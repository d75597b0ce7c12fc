"""Query plans: every query uses an index and never reads all terminal provisionings."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, event, insert, text

from models.argil.account_list import AccountList
from models.argil.response import ArgilResponse
from models.argil.voice import TrainingPeriod
from models.evidence import InputEvidence
from models.image_request import ImageRequest
from models.limits import SubmissionGuard
from models.provisioning import LeaseOwner, Provisioning, Status
from models.recordings.identity import RecordingIdentity
from models.recordings.uploads import Upload
from models.request import ProvisioningRequest, RequestKind
from models.spend_limits import SpendLimits
from models.tables import (
    batch_table,
    event_table,
    evidence_table,
    extra_table,
    provisioning_table,
    quarantine_table,
    submission_table,
    suspended_run_table,
    upload_table,
    upload_use_table,
    webhook_delivery_table,
)
from store.account_avatars import find_known_ids
from store.batches import BatchRepository
from store.database import Database
from store.event_archive import EventArchive
from store.evidence import list_evidence
from store.latest_page import LatestPage
from store.leases import LeaseRepository
from store.ledger import Ledger
from store.ledger_reader import LedgerReader
from store.limits import LimitRepository
from store.quarantine import QuarantineRepository
from store.suspended_runs import SuspendedRunRepository
from store.unknown_avatars import UnknownAvatarRepository
from store.uploads import UploadRepository
from store.webhook_deliveries import WebhookDeliveryRepository
from tests.fakes import FakeClock

TERMINAL_COUNT = 3000
BATCH_ID = str(UUID(int=1))
CONTENT_FACTS = {"sha256": "a" * 64, "sample_sha256": "b" * 64, "etag": f'"{"c" * 32}"', "size_bytes": 7}
LISTED_BODY = b'[{"id": "a-1", "extras": {"submission_id": "3f2b8c1e-5d47-4a90-9b6e-0c1d2e3f4a5b"}}]'
LISTED = AccountList(ArgilResponse(200, {}, LISTED_BODY, is_list=True))
FILTERED_PAGES = {
    "batch": LatestPage(9, batch_id="b-1"),
    "batch and status": LatestPage(9, [Status.READY, Status.REFUSED], batch_id="b-1"),
    "name": LatestPage(9, name="Ada"),
    "name and status": LatestPage(9, [Status.READY], name="Ada"),
    "reference": LatestPage(9, reference="p-7"),
    "reference and status": LatestPage(9, [Status.READY], reference="p-7"),
    "avatar": LatestPage(9, avatar_id="a-7"),
    "avatar and status": LatestPage(9, [Status.READY], avatar_id="a-7"),
    "extra": LatestPage(9, extras={"team": "berlin"}),
    "extra and time": LatestPage(9, extras={"team": "berlin"}, until=FakeClock().now()),
    "rare extra and status": LatestPage(9, [Status.READY], extras={"city": "p-7"}),
    "attention": LatestPage(9, [Status.REFUSED, Status.VANISHED], waits_for_person=True),
    "attention and extra": LatestPage(9, [Status.REFUSED], extras={"team": "berlin"}, waits_for_person=True),
    "two extras": LatestPage(9, extras={"city": "p-7", "team": "berlin"}),
}
"""Pages of `avatars list` with filters. Each filter matches most rows or one."""


REQUEST = ProvisioningRequest(
    name="Ada", dataset_video="https://h.example/d.mp4", consent_video="https://h.example/c.mp4", reference="p-7"
)
UPLOAD = Upload(f"s3://uploads/{'a' * 64}.mp4", "a" * 64, 1, "test", FakeClock().now(), FakeClock().now(), None)


def uploads_of(ledger: Ledger) -> UploadRepository:
    return UploadRepository(ledger.database, FakeClock())


def list_of(page: LatestPage) -> Callable[[Ledger, Provisioning], Awaitable[object]]:
    return lambda ledger, _: ledger.list_page(page)


async def find_recorded(ledger: Ledger, provisioning: Provisioning) -> object:
    submissions = await ledger.list_submissions(provisioning.id)
    assert submissions, "without one, the second query is not sent"
    return await ledger.find_recorded_avatar_ids([item.id for item in submissions])


READS: dict[str, Callable[[Ledger, Provisioning], Awaitable[object]]] = {
    "LedgerReader.get": lambda ledger, provisioning: ledger.get(provisioning.reference),
    "LedgerReader.find_recorded": lambda ledger, _: ledger.find_recorded(REQUEST),
    "LedgerReader.find_equal": lambda ledger, _: ledger.find_equal(REQUEST),
    "LedgerReader.find_equal_by_names": lambda ledger, _: ledger.find_equal_by_names([REQUEST.name, "another"]),
    "LedgerReader.list_latest": lambda ledger, _: ledger.list_latest(None, 9),
    "LedgerReader.list_page": lambda ledger, provisioning: ledger.list_page(
        LatestPage(
            9,
            [Status.READY, Status.REFUSED],
            since=provisioning.created_at,
            until=provisioning.created_at,
            after=provisioning.sort_key,
        )
    ),
    **{f"LedgerReader.list_page by {name}": list_of(page) for name, page in FILTERED_PAGES.items()},
    "LedgerReader.count_by_status": lambda ledger, _: ledger.count_by_status(),
    "LedgerReader.count_image_creates": lambda ledger, _: ledger.count_image_creates(),
    "LedgerReader.count_absences": lambda ledger, _: ledger.count_absences(),
    "LedgerReader.list_unleased": lambda ledger, provisioning: ledger.list_unleased(
        Status.TRAINING, after=provisioning
    ),
    "LedgerReader.list_timed_out": lambda ledger, provisioning: ledger.list_timed_out(
        provisioning.created_at, after=provisioning
    ),
    "LedgerReader.list_events": lambda ledger, provisioning: ledger.list_events(provisioning.id),
    "LedgerReader.list_submissions": lambda ledger, provisioning: ledger.list_submissions(provisioning.id),
    "LedgerReader.list_submissions_by_provisioning": lambda ledger, provisioning: (
        ledger.list_submissions_by_provisioning([provisioning.id, "another"])
    ),
    "LedgerReader.list_duplicates": lambda ledger, provisioning: ledger.list_duplicates(provisioning.id),
    "LedgerReader.find_by_submission_ids": lambda ledger, _: ledger.find_by_submission_ids(["s-1", "s-2"]),
    "LedgerReader.find_recorded_avatar_ids": find_recorded,
    "LedgerReader.find_fingerprints": lambda ledger, _: ledger.find_fingerprints(["p-1", "p-2"]),
    "LedgerReader.find_statuses": lambda ledger, _: ledger.find_statuses(["p-1", "p-2"]),
    "LimitRepository.read_for_all_keys": lambda ledger, _: LimitRepository(
        ledger.database, FakeClock()
    ).read_for_all_keys(SpendLimits()),
    "LimitRepository.requests_paused_for": lambda ledger, _: LimitRepository(
        ledger.database, FakeClock()
    ).requests_paused_for("a" * 64),
    "LimitRepository.read": lambda ledger, _: LimitRepository(ledger.database, FakeClock()).read(
        SubmissionGuard(api_key_sha256="a" * 64), "b-1"
    ),
    "LedgerReader.find_open_by_flow_run_ids": lambda ledger, _: ledger.find_open_by_flow_run_ids(
        ["run-1", "run-2"]
    ),
    "LedgerReader.holds_leases": lambda ledger, _: ledger.holds_leases("run-1"),
    "LedgerReader.find_unleased_ids": lambda ledger, _: ledger.find_unleased_ids(["p-1", "p-2"]),
    "LedgerReader.find_unleased_provisioning": lambda ledger, _: ledger.find_unleased_provisioning("a-1"),
    "voices that are due": lambda ledger, _: ledger.list_voice_due(limit=9),
    "voices that are due of a batch": lambda ledger, _: ledger.list_voice_due(limit=9, batch_id="b-1"),
    "delivered voices": lambda ledger, _: ledger.list_delivered_voices("a-1"),
    "voices of other avatars": lambda ledger, _: ledger.find_foreign_voices("a-1", ["v-1", "v-2"]),
    "namesakes in training": lambda ledger, provisioning: ledger.has_namesake_in_training(
        replace(provisioning, request=provisioning.request.model_copy(update={"name": "Another"})),
        TrainingPeriod(provisioning.created_at, provisioning.created_at),
    ),
    "voice clones": lambda ledger, provisioning: ledger.list_voice_clones(provisioning.id),
    "WebhookDeliveryRepository.latest_id": lambda ledger, _: WebhookDeliveryRepository(
        ledger.database, FakeClock()
    ).latest_id(),
    "WebhookDeliveryRepository.list_after": lambda ledger, _: WebhookDeliveryRepository(
        ledger.database, FakeClock()
    ).list_after(TERMINAL_COUNT - 5),
    "WebhookDeliveryRepository.prune": lambda ledger, _: WebhookDeliveryRepository(
        ledger.database, FakeClock()
    ).prune(),
    "QuarantineRepository.find_provisioning_for": lambda ledger, _: QuarantineRepository(
        ledger.database, FakeClock()
    ).find_provisioning_for(RecordingIdentity.from_facts("https://a.example/a", CONTENT_FACTS)),
    "QuarantineRepository.list_releases": lambda ledger, _: QuarantineRepository(
        ledger.database, FakeClock()
    ).list_releases(["p-1", "p-2"]),
    "QuarantineRepository.is_released": lambda ledger, provisioning: QuarantineRepository(
        ledger.database, FakeClock()
    ).is_released(replace(provisioning, status=Status.REFUSED)),
    "WebhookDeliveryRepository.find_avatar_id": lambda ledger, _: WebhookDeliveryRepository(
        ledger.database, FakeClock()
    ).find_avatar_id("s-1"),
    "SuspendedRunRepository.exists": lambda ledger, _: SuspendedRunRepository(ledger.database, FakeClock()).exists(
        "run-1"
    ),
    "SuspendedRunRepository.provisioning_id_of": lambda ledger, _: SuspendedRunRepository(
        ledger.database, FakeClock()
    ).provisioning_id_of("run-1"),
    "SuspendedRunRepository.list_with_terminal_provisioning": lambda ledger, _: SuspendedRunRepository(
        ledger.database, FakeClock()
    ).list_with_terminal_provisioning(),
    "UnknownAvatarRepository.compare": lambda ledger, _: UnknownAvatarRepository(
        ledger.database, FakeClock()
    ).compare(LISTED),
    "UnknownAvatarRepository.has_submissions": lambda ledger, _: UnknownAvatarRepository(
        ledger.database, FakeClock()
    ).has_submissions(),
    "UnknownAvatarRepository.list_undecided": lambda ledger, _: UnknownAvatarRepository(
        ledger.database, FakeClock()
    ).list_undecided(9),
    "UnknownAvatarRepository.list_undecided_of": lambda ledger, _: UnknownAvatarRepository(
        ledger.database, FakeClock()
    ).list_undecided_of("0" * 15),
    "UnknownAvatarRepository.count_undecided": lambda ledger, _: UnknownAvatarRepository(
        ledger.database, FakeClock()
    ).count_undecided(),
    "UnknownAvatarRepository.count_ignored": lambda ledger, _: UnknownAvatarRepository(
        ledger.database, FakeClock()
    ).count_ignored(),
    "UnknownAvatarRepository.latest_ignored": lambda ledger, _: UnknownAvatarRepository(
        ledger.database, FakeClock()
    ).latest_ignored(),
    "UploadRepository.is_recorded": lambda ledger, _: uploads_of(ledger).is_recorded(UPLOAD.uri),
    "UploadRepository.unused_uploads": lambda ledger, _: uploads_of(ledger).unused_uploads(9),
    "UploadRepository.count_unused": lambda ledger, _: uploads_of(ledger).count_unused(),
    "UploadRepository.finished_uploads": lambda ledger, _: uploads_of(ledger).finished_uploads(9, 0.5),
    "UploadRepository.uploads_of": lambda ledger, provisioning: uploads_of(ledger).uploads_of(provisioning.id),
    "UploadRepository.is_finished": lambda ledger, _: uploads_of(ledger).is_finished(UPLOAD),
    "EventArchive.preview": lambda ledger, provisioning: EventArchive(ledger.database, FakeClock()).preview(
        provisioning.created_at + timedelta(days=1)
    ),
    "BatchRepository.get": lambda ledger, _: BatchRepository(ledger.database, FakeClock()).get(BATCH_ID),
    "BatchRepository.list_page": lambda ledger, _: list_two_pages_of_batches(ledger),
    "BatchRepository.count_by_status": lambda ledger, _: BatchRepository(
        ledger.database, FakeClock()
    ).count_by_status(["b-1", "b-2"]),
    "find_ids_by_tag": lambda ledger, _: ledger.find_ids_by_tag({"0" * 15}),
    "find_known_ids": lambda ledger, _: find_known_ids(ledger.database, ["a-1", "a-2"], ["s-1", "s-2"]),
    "list_evidence": lambda ledger, provisioning: list_evidence(ledger.database, provisioning.id),
}
DIGEST_COLUMNS = ("identity_sha256", "legacy_identity_sha256", "content_sha256", "sample_sha256")
SUBQUERIES = ("(", "anon_", "keys", "merged")
"""How the plans of SQLite call subqueries: their rows come from tables that are named beside them."""
WRITES = {
    *("BatchRepository.begin", "BatchRepository.cancel", "BatchRepository.end"),
    *("LimitRepository.reserve_probe", "LimitRepository.return_probe", "LimitRepository.pause_requests"),
    "EventArchive.archive",  # its reads are those of `preview`
    *(
        "WebhookDeliveryRepository.add",
        "LeaseRepository.acquire",
        "LeaseRepository.acquire_next_pending",
        "LeaseRepository.renew",
        "LeaseRepository.renew_all",
        "LeaseRepository.release",
    ),
    *(
        "QuarantineRepository.add",
        "QuarantineRepository.add_submitted",
        "QuarantineRepository.release",
        "SuspendedRunRepository.add",
        "SuspendedRunRepository.remove",
        "UnknownAvatarRepository.ignore_all",
        "UploadRepository.begin",
        "UploadRepository.complete",
        "UploadRepository.remove",
    ),
}
ALLOWED_FULL_SCANS = {
    "LedgerReader.count_by_status": {"provisionings by an index"},  # an index-only scan
    "LedgerReader.count_image_creates": {"provisionings by an index"},  # of the image requests only
    "BatchRepository.list_page": {"batches by an index"},  # of which it reads one page
    "UnknownAvatarRepository.has_submissions": {"submissions by an index"},  # of which it reads one row
    # at most one row per cause and API key
    "LimitRepository.read_for_all_keys": {"pauses", "pauses by an index"},
    # one row per run that is suspended now
    "SuspendedRunRepository.list_with_terminal_provisioning": {"suspended_runs", "suspended_runs by an index"},
    # PostgreSQL may prefer the partial index of the deliveries with a voice, of which there are few
    "delivered voices": {"webhook_deliveries by an index"},
    "UnknownAvatarRepository.compare": {"unknown_avatars", "unknown_avatars by an index"},
    # only while avatars are unknown; most provisionings of this ledger are not final
    "find_ids_by_tag": {"provisionings", "provisionings by an index"},
    # by the index of the names, unless the statistics say that all have one name, as here
    "LedgerReader.find_equal_by_names": {"provisionings"},
    # one row per file that was ever uploaded; for `avatars account` and the fleet report
    "UploadRepository.unused_uploads": {"uploads", "uploads by an index", "upload_uses", "upload_uses by an index"},
    "UploadRepository.count_unused": {"uploads", "uploads by an index", "upload_uses", "upload_uses by an index"},
    # per tick only with AVATARS_UPLOAD_DELETE, which removes the rows of those that are finished
    "UploadRepository.finished_uploads": {"uploads", "uploads by an index"},
}
"""Tables or indexes that a query may scan completely."""
ALLOWED_MANY_ROWS = {
    *("LedgerReader.count_by_status", "BatchRepository.count_by_status", "EventArchive.preview"),
    *("find_ids_by_tag", "LedgerReader.find_equal", "LedgerReader.find_equal_by_names"),
    *("UploadRepository.unused_uploads", "UploadRepository.count_unused", "UploadRepository.finished_uploads"),
}
"""Queries that may read many rows: all keys, those of a page of batches, a page of archivable events, all uploads.

`find_ids_by_tag` reads all provisionings that are not final, and only while Argil has avatars that are unknown.
`find_equal` reads those with the name of a request, `find_equal_by_names` those with the names of a batch, once per
command; here all have the same name.
"""


def test_every_query_is_covered() -> None:
    queries = {
        f"{repository.__name__}.{name}"
        for repository in (
            LedgerReader,
            BatchRepository,
            EventArchive,
            WebhookDeliveryRepository,
            LeaseRepository,
            QuarantineRepository,
            SuspendedRunRepository,
            UnknownAvatarRepository,
            UploadRepository,
            LimitRepository,
        )
        for name, _ in inspect.getmembers(repository, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert queries == {name.partition(" ")[0] for name in READS if "." in name} | WRITES


async def test_waiting_image_is_found_without_reading_the_videos(
    history: Ledger, image_request: ImageRequest
) -> None:
    """While the create with videos is gone, all requests with videos wait, and most are older."""
    clock, owner = FakeClock(), LeaseOwner(actor="test", id="d")
    waiting, _ = await history.get_or_create(image_request, "image", owner)
    statement = text("UPDATE provisionings SET status = 'ACCEPTED' WHERE kind = 'video'")
    await history.database.write(lambda connection: connection.execute(statement))
    await history.database.write(lambda connection: connection.execute(text("ANALYZE")))
    updates: list[tuple[str, Any]] = []

    def listen(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        updates.append((statement, parameters))

    event.listen(history.database.engine, "before_cursor_execute", listen)
    acquired = await LeaseRepository(history.database, clock).acquire_next_pending(
        owner,
        timedelta(seconds=60),
        started_at=clock.now(),
        blocked_before=clock.now(),
        kinds=[RequestKind.IMAGE],
    )
    event.remove(history.database.engine, "before_cursor_execute", listen)
    assert acquired is not None
    assert acquired.id == waiting.id
    (update,) = [item for item in updates if item[0].startswith("UPDATE")]
    explain = "EXPLAIN QUERY PLAN" if history.database.is_sqlite else "EXPLAIN"
    plan = await history.database.read(
        lambda connection: str(connection.exec_driver_sql(f"{explain} {update[0]}", update[1]).all())
    )
    assert "ix_provisionings_image_status_created_at_id" in plan


async def list_two_pages_of_batches(ledger: Ledger) -> None:
    batches = BatchRepository(ledger.database, FakeClock())
    assert await batches.list_page(9, (await batches.list_page(9))[-1])


@contextmanager
def record_queries(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Record the SELECT statements that the code executes, with their parameters."""
    statements: list[tuple[str, Any]] = []

    def listen(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            statements.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", listen)
    yield statements
    event.remove(database.engine, "before_cursor_execute", listen)


async def full_scans(database: Database, statement: str, parameters: Any) -> set[str]:
    """Return the tables and indexes that the plan of a statement scans completely."""

    def explain(connection: Connection) -> set[str]:
        if database.is_sqlite:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            scans = [line.detail.split() for line in plan if line.detail.startswith("SCAN ")]
            tables = [words for words in scans if not words[1].startswith(SUBQUERIES)]
            return {_scan_name(words[1], by_index="INDEX" in words) for words in tables}
        # With as few rows as in a test, the planner would prefer a sequential scan.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        return set(_full_scans(plan.scalar_one()))

    return await database.read(explain)


async def rows_read(database: Database, statement: str, parameters: Any) -> float:
    """Return the number of rows read, including filtered ones; for SQLite, the VM steps (an upper bound)."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    def count(connection: Connection) -> float:
        if database.is_sqlite:
            raw: Any = connection.connection.driver_connection
            raw.set_progress_handler(step, 1)
            connection.exec_driver_sql(statement, parameters).all()
            raw.set_progress_handler(None, 1)
            return steps
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
        return sum(_rows_read(plan.scalar_one()))

    return await database.read(count)


def _rows_read(nodes: Any) -> Iterator[float]:
    for node in nodes:
        yield node.get("Actual Loops", 0) * (node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0))
        yield from _rows_read([*node.get("Plans", ()), *filter(None, [node.get("Plan")])])


def _scan_name(table: str, *, by_index: bool) -> str:
    return f"{table} by an index" if by_index else table


def _full_scans(nodes: Any, *, parent: str = "") -> Iterator[str]:
    for node in nodes:
        kind = node.get("Node Type", "")
        if kind == "Seq Scan" or (kind.startswith("Index") and "Index Cond" not in node and parent != "Limit"):
            yield _scan_name(node["Relation Name"], by_index=kind != "Seq Scan")
        yield from _full_scans([*node.get("Plans", ()), *filter(None, [node.get("Plan")])], parent=kind)


@pytest.fixture
async def history(database: Database, provisioning_request: ProvisioningRequest) -> Ledger:
    """A ledger in which almost all provisionings are terminal."""
    clock, owner = FakeClock(), LeaseOwner(actor="test", id="d", flow_run_id="run-1")
    ledger = Ledger(database, clock)
    opened, _ = await ledger.get_or_create(provisioning_request, "ada-1", owner)
    row = await database.read(
        lambda connection: connection.execute(text("SELECT * FROM provisionings")).mappings().one()
    )
    ids = [f"p-{number}" for number in range(TERMINAL_COUNT)]
    common = {
        **{name: row[name] for name in ("version", "request_fingerprint", "retrain_count", "submission_count")},
        "request": {},
        "reasons": [],
        "created_at": clock.now(),
        "updated_at": clock.now() - timedelta(days=9),
    }
    terminal = [status for status in Status if status.is_terminal]

    def insert_rows(connection: Connection) -> None:
        connection.execute(
            insert(provisioning_table),
            [
                common
                | {"id": key, "reference": key, "status": terminal[number % 8], "avatar_id": f"a-{number}"}
                | {"name": "Ada", "batch_id": "b-1"}
                for number, key in enumerate(ids)
            ],
        )
        submission = {"ordinal": 1, "state": "CREATED", "created_at": clock.now(), "state_changed_at": clock.now()}
        event_values = {"occurred_at": clock.now(), "actor": "test", "to_status": "READY", "message": "."}
        video = InputEvidence.from_facts("https://a.example/a", None).model_dump(mode="json")
        evidence = {
            "reference": "x",
            "actor": "test",
            "dataset": video,
            "consent": video,
            "recorded_at": clock.now(),
        }
        quarantined = {"input_identity": "x", "quarantined_at": clock.now(), "etag": '"e"'}
        batch = {"manifest_sha256": "", "started_by": "x", "row_count": 1, "invalid_count": 0}
        batch |= {"started_at": clock.now()}
        delivery = {"event": "e", "body": "{}", "received_at": clock.now()}
        upload = {
            "sha256": "a" * 64,
            "size_bytes": 1,
            "actor": "x",
            "created_at": clock.now(),
            "used_at": clock.now(),
        }
        for table, values in {
            submission_table: [submission | {"id": f"s-{key}", "provisioning_id": key} for key in ids],
            evidence_table: [evidence | {"provisioning_id": key, "submission_id": f"s-{key}"} for key in ids],
            extra_table: [
                {"provisioning_id": key, "key": name, "value": value, "created_at": clock.now()}
                for key in ids
                for name, value in (("team", "berlin"), ("city", key))
            ],
            batch_table: [batch | {"id": key} for key in (*ids, BATCH_ID)],
            event_table: [event_values | {"provisioning_id": key} for key in ids],
            quarantine_table: [
                quarantined | {"provisioning_id": key, "size_bytes": number} | dict.fromkeys(DIGEST_COLUMNS, key)
                for number, key in enumerate(ids)
            ],
            webhook_delivery_table: [delivery | {"digest": key, "avatar_id": key} for key in ids],
            upload_table: [upload | {"uri": f"s3://uploads/{key}.mp4"} for key in ids],
            upload_use_table: [
                {"uri": f"s3://uploads/{key}.mp4", "provisioning_id": key, "created_at": clock.now()} for key in ids
            ],
            suspended_run_table: [
                {"flow_run_id": "run-1", "provisioning_id": opened.id, "suspended_at": clock.now()}
            ],
        }.items():
            connection.execute(insert(table), values)

    await database.write(insert_rows)
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
async def test_no_query_reads_all_terminal_provisionings(history: Ledger, *, analyzed: bool) -> None:
    """PostgreSQL maintains table statistics by itself; SQLite only has them after ANALYZE."""
    if analyzed:
        await history.database.write(lambda connection: connection.execute(text("ANALYZE")))
    provisioning = await history.get("p-7")
    unexpected_scans, unexpected_rows = {}, {}
    for name, query in READS.items():
        with record_queries(history.database) as statements:
            await query(history, provisioning)
        assert statements, name
        scans = set().union(*[await full_scans(history.database, *statement) for statement in statements])
        if unexpected := scans - ALLOWED_FULL_SCANS.get(name, set()):
            unexpected_scans[name] = unexpected
        row_count = max([await rows_read(history.database, *statement) for statement in statements])
        if row_count > TERMINAL_COUNT and name not in ALLOWED_MANY_ROWS:
            unexpected_rows[name] = row_count
    assert (unexpected_scans, unexpected_rows) == ({}, {})
