"""Rows of a batch without Prefect: what one row does to the others."""

from __future__ import annotations

from uuid import uuid4

import pytest

from flows.engine.batch import BatchRun, process_chunk
from models.batch import WOULD_CREATE
from models.batch_record import BatchSource
from models.manifest_validation import ManifestRow
from models.media_report import MediaReport
from models.media_rules import MediaRole
from models.provisioning import Status
from services.cancellation import cancel_provisioning
from simulator.server import ArgilSimulator
from store.erasure import erase
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


@pytest.mark.parametrize(("dry_run", "other"), [(False, Status.TRAINING), (True, WOULD_CREATE)])
async def test_erased_row_attaches_and_stops_no_other(
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
    assert [row.status for row in batch.progress.rows] == [Status.TIMED_OUT, other]


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
    requests = [
        harness.request.model_copy(
            update={"reference": f"row-{line}", "dataset_video": f"https://v.example/{line}"}
        )
        for line in range(1, 6)
    ]
    rows = [
        ManifestRow(line, request.reference or "", request.name, request)
        for line, request in enumerate(requests, 1)
    ]
    check = media.check

    async def cancel_at_third_row(url: str, role: MediaRole) -> MediaReport:
        if url == requests[2].dataset_video:
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
