"""Many provisionings in one flow run: an unexpected error in one of them does not stop the others."""

from __future__ import annotations

import pytest

from flows.engine.pool import MAX_CONCURRENCY, acquire_each, run_many
from models.media_report import MediaReport
from models.media_rules import MediaRole
from models.provisioning import Status
from tasks.reopen_provisioning import reopen_provisioning
from tests.provisioning_harness import (  # noqa: F401  # fixtures
    FakeMedia,
    ProvisioningHarness,
    argil,
    changes,
    clock,
    context,
    harness,
    ledger_file,
    served_gateway,
    timing,
)


class DefectiveMedia(FakeMedia):
    """A checker with a defect: some recordings raise an error that no caller expects."""

    async def check(self, url: str, role: MediaRole) -> MediaReport:
        if "defect" in url:
            raise RuntimeError("a defect")
        return await super().check(url, role)


@pytest.fixture
def media() -> FakeMedia:
    return DefectiveMedia()


@pytest.mark.parametrize("changes", [{"avatars_media_check": "strict"}])
async def test_unexpected_error_does_not_stop_the_others(harness: ProvisioningHarness) -> None:  # noqa: F811
    names = [*(f"defect-{number}" for number in range(MAX_CONCURRENCY)), "ada", "grace"]
    provisionings = [
        await harness.accepted(reference=name, dataset_video=f"https://videos.example/{name}.mp4") for name in names
    ]
    with pytest.raises(RuntimeError, match="a defect"):
        await run_many(acquire_each(provisionings, harness.owner), harness.owner, timeout_seconds=0)
    statuses = [(await harness.reload(provisioning)).status for provisioning in provisionings]
    assert statuses == [*[Status.ACCEPTED] * MAX_CONCURRENCY, Status.TRAINING, Status.TRAINING]


async def test_one_cancelled_after_it_was_listed_stays_cancelled(harness: ProvisioningHarness) -> None:  # noqa: F811
    listed = await harness.accepted()
    await harness.context.leases.release(listed.id, harness.owner)
    await harness.context.ledger.transition(listed, harness.owner, "cancelled", new_status=Status.CANCELLED)
    acquired = await acquire_each([listed], harness.owner)()
    assert acquired is not None
    assert await reopen_provisioning.fn(acquired, harness.owner) == acquired
    assert acquired.status is Status.CANCELLED
