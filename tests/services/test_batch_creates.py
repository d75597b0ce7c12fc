"""Which rows of a batch may create an avatar."""

from __future__ import annotations

from models.manifest_validation import ManifestRow
from models.provisioning import Status
from models.request import RequestKind
from services.batch_creates import count_creates
from tests.provisioning_harness import ProvisioningHarness


async def test_rows_that_only_attach_or_are_invalid_do_not_count(harness: ProvisioningHarness) -> None:
    await harness.submitted(reference="submitted")
    await harness.accepted(reference="waiting")
    rejected = await harness.accepted(reference="rejected")
    await harness.context.ledger.transition(rejected, harness.owner, "a rule", new_status=Status.REJECTED)
    references = ("submitted", "waiting", "rejected", "new")
    rows = [ManifestRow(line, reference, "Ada", harness.request) for line, reference in enumerate(references, 2)]
    invalid = ManifestRow(9, "invalid", "Ada", None)
    counts = await count_creates(harness.context.ledger, [*rows, invalid])
    assert counts == {RequestKind.VIDEO: len({"waiting", "rejected", "new"})}
