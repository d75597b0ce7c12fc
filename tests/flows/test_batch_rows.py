"""Rows of a batch without Prefect: what one row does to the others."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest

from flows.engine.batch import BatchRun, process_chunk
from flows.engine.execution import InlineExecution
from flows.engine.outage_wait import OutageWait
from flows.engine.state_machine import run_to_completion
from models.argil.avatar import Avatar
from models.batch import INVALID, WOULD_CREATE
from models.batch_record import BatchSource
from models.errors import ArgilPaymentRequired, ArgilUnreachable
from models.limits import MAX_PAUSE
from models.manifest.validation import ManifestRow
from models.media.facts import MediaFacts
from models.media.report import MediaReport
from models.media.rules import MediaRole
from models.provisioning import Status
from services.cancellation import cancel_provisioning
from services.pending import PendingProvisionings
from services.ticks import Tick
from simulator.server import ArgilSimulator
from store.erasure import erase
from tests.fakes import FakeClock
from tests.provisioning_harness import (  # noqa: F401  # fixtures
    FakeMedia,
    ProvisioningHarness,
    ScriptedClock,
    argil,
    changes,
    clock,
    context,
    harness,
    ledger_file,
    media,
    served_gateway,
    timing,
)


class OneWaitClock(FakeClock):
    """A clock whose first sleep ends. The others last until they are interrupted."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if len(self.sleeps) > 1:
            await asyncio.Event().wait()


def make_rows(harness: ProvisioningHarness, count: int) -> list[ManifestRow]:  # noqa: F811
    requests = [
        harness.request.model_copy(
            update={"reference": f"row-{line}", "dataset_video": f"https://v.example/{line}"}
        )
        for line in range(1, count + 1)
    ]
    return [
        ManifestRow(line, request.reference or "", request.name, request)
        for line, request in enumerate(requests, 1)
    ]


@pytest.mark.parametrize(("dry_run", "other"), [(False, Status.TRAINING), (True, WOULD_CREATE)])
async def test_erased_row_is_invalid_and_stops_no_other(
    harness: ProvisioningHarness,  # noqa: F811
    clock: ScriptedClock,  # noqa: F811
    dry_run: bool,
    other: str,
) -> None:
    training = await harness.submitted("never", reference="erased")
    ledger = harness.context.ledger
    timed_out = await ledger.transition(training, harness.owner, "late", new_status=Status.TIMED_OUT)
    await erase(ledger.database, clock, timed_out, harness.owner, "erased")
    requests = {
        "erased": training.request,
        "other": harness.request.model_copy(update={"name": "Grace"}),
    }
    rows = [
        ManifestRow(line, reference, request.name, request.model_copy(update={"reference": reference}))
        for line, (reference, request) in enumerate(requests.items(), 1)
    ]
    batch = BatchRun(harness.context, rows, harness.owner, timeout_seconds=0.0, concurrency=2, dry_run=dry_run)
    await process_chunk.fn(batch, 1, len(rows))
    assert [row.status for row in batch.progress.rows] == [INVALID, other]
    erased = batch.progress.rows[0]
    assert ([reason.code for reason in erased.reasons], erased.avatar_id) == (["request.erased"], None)
    assert "leave the request out" in erased.reasons[0].hint


@pytest.mark.parametrize("changes", [{"avatars_media_check": "strict"}])
async def test_no_row_begins_after_its_batch_was_cancelled(
    harness: ProvisioningHarness,  # noqa: F811
    media: FakeMedia,  # noqa: F811
    argil: ArgilSimulator,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The batch is cancelled while the recordings of its third row are checked; then its run starts again."""
    ledger, batches = harness.context.ledger, harness.context.batches
    batch_id = str(uuid4())
    owner = harness.owner.model_copy(update={"batch_id": batch_id})
    rows = make_rows(harness, 5)
    check = media.check

    async def cancel_at_third_row(url: str, role: MediaRole) -> MediaReport:
        if url == "https://v.example/3":
            await batches.cancel(batch_id)
        return await check(url, role)

    monkeypatch.setattr(media, "check", cancel_at_third_row)

    async def run() -> list[str]:
        await batches.begin(BatchSource(rows, None, "a" * 64, "test"), owner)
        batch = BatchRun(harness.context, rows, owner, timeout_seconds=0.0, concurrency=1, dry_run=False)
        await process_chunk.fn(batch, 1, len(rows))
        assert batch.progress.finished == len(rows)
        return [row.status for row in batch.progress.rows]

    assert await run() == [Status.TRAINING, Status.TRAINING, *[Status.CANCELLED] * 3]
    assert len(argil.account.posts) == 2
    assert [item.reference for item in await ledger.list_latest(None, 9)] == ["row-3", "row-2", "row-1"]
    for reference in ("row-1", "row-3"):
        await cancel_provisioning(ledger, await ledger.get(reference), harness.owner, "a person cancelled it")
    assert await run() == [Status.CANCELLED] * 5
    assert len(argil.account.posts) == 2


async def test_cancelled_batch_reports_its_own_outcomes_only(
    harness: ProvisioningHarness,  # noqa: F811
) -> None:
    """A later batch has taken the second row, and goes on with it."""
    ledger, batches, rows = harness.context.ledger, harness.context.batches, make_rows(harness, 3)
    first, later = (harness.owner.model_copy(update={"batch_id": str(uuid4())}) for _ in range(2))
    await batches.begin(BatchSource(rows, None, "a" * 64, "test"), first)
    for row, owner in zip(rows, (first, later, first), strict=True):
        assert row.request is not None
        opened, _ = await ledger.get_or_create(row.request, row.reference, owner)
        if row is not rows[2]:
            await ledger.transition(opened, owner, "rejected", new_status=Status.REJECTED)
    await batches.cancel(first.batch_id or "")
    batch = BatchRun(harness.context, rows, first, timeout_seconds=0.0, concurrency=1, dry_run=False)
    await process_chunk.fn(batch, 1, len(rows))
    assert [row.status for row in batch.progress.rows] == [Status.REJECTED, Status.CANCELLED, Status.CANCELLED]
    assert (await ledger.get("row-2")).status is Status.REJECTED
    assert (await ledger.get("row-2")).batch_id == later.batch_id


async def test_cancelled_batch_does_not_wait_for_the_end_of_an_outage(
    harness: ProvisioningHarness,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A person cancels it during the outage: the row that waits notices it, and lets all others continue."""
    batches = harness.context.batches
    owner = harness.owner.model_copy(update={"batch_id": str(uuid4())})
    rows = make_rows(harness, 6)
    await batches.begin(BatchSource(rows, None, "a" * 64, "test"), owner)

    all_sent = asyncio.Barrier(len(rows))

    async def refuse(*_arguments: object, **_options: object) -> None:
        await all_sent.wait()
        await batches.cancel(owner.batch_id or "")
        raise ArgilUnreachable("no connection to Argil")

    monkeypatch.setattr(harness.context.argil, "create_avatar", refuse)
    batch = BatchRun(harness.context, rows, owner, timeout_seconds=0.0, concurrency=6, dry_run=False)
    batch.outage = OutageWait(OneWaitClock(), harness.context.outage_log)
    async with asyncio.timeout(30):
        await process_chunk.fn(batch, 1, len(rows))
    assert {row.status for row in batch.progress.rows} == {Status.CANCELLED}
    assert batch.abort_error is None


@pytest.mark.parametrize("changes", [{"avatars_media_check": "strict"}])
async def test_402_leaves_every_row_recorded_and_the_paid_rest_follows(
    harness: ProvisioningHarness,  # noqa: F811
    media: FakeMedia,  # noqa: F811
    argil: ArgilSimulator,  # noqa: F811
    clock: ScriptedClock,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context, rows = harness.context, make_rows(harness, 9)  # noqa: F811
    create, paid_rows = context.argil.create_avatar, 3

    async def ask_for_payment(*arguments: Any, **options: Any) -> Avatar:
        if len(argil.account.avatars) >= paid_rows:
            raise ArgilPaymentRequired("Argil asks for payment (402)")
        return await create(*arguments, **options)

    monkeypatch.setattr(context.argil, "create_avatar", ask_for_payment)
    batch = BatchRun(context, rows, harness.owner, timeout_seconds=0.0, concurrency=1, dry_run=False)
    await process_chunk.fn(batch, 1, len(rows))
    assert Counter(row.status for row in batch.progress.rows) == {Status.TRAINING: 3, Status.ACCEPTED: 6}
    assert batch.progress.finished == len(rows)
    assert isinstance(batch.waiting_error, ArgilPaymentRequired)
    codes = [reason.code for row in batch.progress.rows for reason in row.reasons]
    assert codes == ["argil.payment-required", *["pause.payment"] * 5]
    assert len(media.checked) == 2 * 4  # nothing is checked in vain
    monkeypatch.undo()
    clock.advance(MAX_PAUSE.total_seconds())
    pending = PendingProvisionings(context, harness.owner, Tick(clock, 600.0))
    while (provisioning := await pending.acquire_next()) is not None:
        await run_to_completion(provisioning, harness.owner, 0.0, InlineExecution())
    assert len(argil.account.avatars) == len(rows)


@pytest.mark.parametrize("changes", [{"avatars_media_check": "strict"}])
@pytest.mark.parametrize(("dry_run", "is_again"), [(True, False), (False, False), (False, True)])
async def test_warnings_of_a_row_are_in_its_result_and_log(
    harness: ProvisioningHarness,  # noqa: F811
    media: FakeMedia,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
    dry_run: bool,
    is_again: bool,
) -> None:
    media.results[MediaRole.DATASET] = MediaFacts(
        size_bytes=10**8,
        container="mp4",
        video_codec="h264",
        width=1920,
        height=1080,
        duration_seconds=120.0,
        has_audio=False,
    )

    async def run() -> BatchRun:
        rows = make_rows(harness, 1)
        batch = BatchRun(harness.context, rows, harness.owner, timeout_seconds=0.0, concurrency=1, dry_run=dry_run)
        await process_chunk.fn(batch, 1, 1)
        return batch

    if is_again:
        await run()
        caplog.clear()
    [row] = (await run()).progress.rows
    assert row.status == (WOULD_CREATE if dry_run else Status.TRAINING)
    assert [warning.code for warning in row.warnings] == ["dataset.no-audio"]
    logged = [message for message in caplog.messages if "dataset.no-audio" in message]
    if dry_run or is_again:  # the result has it, and nothing was checked now
        assert logged == []
    else:
        assert [message.startswith(f"line 1, {harness.request.name}: all recordings") for message in logged] == [
            True
        ]
