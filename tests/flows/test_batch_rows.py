"""Rows of a batch without Prefect: what one row does to the others."""

from __future__ import annotations

import pytest

from flows.engine.batch import BatchRun, process_chunk
from models.batch import WOULD_CREATE
from models.manifest_validation import ManifestRow
from models.provisioning import Status
from store.erasure import erase
from tests.provisioning_harness import (  # noqa: F401  # fixtures
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
