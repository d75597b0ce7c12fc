"""Which rows of a batch may create an avatar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from models.manifest.validation import ManifestRow
from models.provisioning import Status
from models.request import RequestKind
from models.submission_ids import new_submission_id
from services.batch_creates import count_creates
from services.submissions import build_create_request
from tests.provisioning_harness import ProvisioningHarness


async def count(harness: ProvisioningHarness, rows: Sequence[ManifestRow]) -> Counter[RequestKind]:
    return await count_creates(harness.context.ledger, harness.context.unknown_avatars, rows)


async def test_rows_that_only_attach_or_are_invalid_do_not_count(harness: ProvisioningHarness) -> None:
    await harness.submitted(reference="submitted")
    await harness.accepted(reference="waiting")
    rejected = await harness.accepted(reference="rejected")
    await harness.context.ledger.transition(rejected, harness.owner, "a rule", new_status=Status.REJECTED)
    references = ("submitted", "waiting", "rejected", "new")
    rows = [ManifestRow(line, reference, "Ada", harness.request) for line, reference in enumerate(references, 2)]
    invalid = ManifestRow(9, "invalid", "Ada", None)
    assert await count(harness, [*rows, invalid]) == {RequestKind.VIDEO: len({"waiting", "rejected", "new"})}


async def test_rows_that_continue_with_an_unknown_avatar_do_not_count(harness: ProvisioningHarness) -> None:
    rows = [ManifestRow(line, f"ada-{line}", "Ada", harness.request) for line in range(3)]
    submission_id = new_submission_id("ada-1", harness.request.fingerprint)
    request = build_create_request(harness.request, submission_id, harness.request.recordings)
    await harness.context.argil.create_avatar(request)
    await harness.context.argil.list_account()
    assert await count(harness, rows) == {RequestKind.VIDEO: 2}
    await harness.context.unknown_avatars.ignore_all("a person")
    assert await count(harness, rows) == {RequestKind.VIDEO: 3}
