"""Many provisionings in one flow run: an unexpected error in one of them does not stop the others."""

from __future__ import annotations

import pytest

from flows.engine.pool import MAX_CONCURRENCY, acquire_each, run_many
from models.media.report import MediaReport
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Provisioning, Status
from tasks.record_training_failure import record_training_failure
from tasks.reopen_provisioning import reopen_provisioning
from tests.provisioning_harness import (  # noqa: F401  # fixtures
    LEASE_SECONDS,
    TRAINING_SECONDS,
    FakeMedia,
    ProvisioningHarness,
    ScriptedClock,
    SimulatorGateway,
    argil,
    changes,
    clock,
    context,
    gateway,
    harness,
    ledger_file,
    other_owner,
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


async def test_failed_trainings_share_one_branch_call(
    harness: ProvisioningHarness,  # noqa: F811
    clock: ScriptedClock,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []

    async def branch(provisioning_ids: list[str]) -> None:
        calls.append(len(provisioning_ids))
        for provisioning_id in provisioning_ids:
            await record_training_failure.fn(provisioning_id, harness.owner)

    async def publish_nothing(*_: object) -> None:
        pass

    monkeypatch.setattr("flows.engine.state_machine.training_failed", branch)
    monkeypatch.setattr("tasks.publish_artifact.put_artifact", publish_nothing)
    count = MAX_CONCURRENCY + 5
    trainings = [await harness.submitted("fail", reference=f"ada-{number}") for number in range(count)]
    clock.advance(TRAINING_SECONDS)
    counts = await run_many(acquire_each(trainings, harness.owner), harness.owner, timeout_seconds=0)
    assert counts == {Status.TRAINING_FAILED: count}
    assert calls == [count]


async def test_lease_of_another_owner_is_not_waited_for(
    harness: ProvisioningHarness,  # noqa: F811
    clock: ScriptedClock,  # noqa: F811
    other_owner: LeaseOwner,  # noqa: F811
) -> None:
    """Its lease expires in standby. Waiting for the other owner, the tick would last as long as the training."""
    training = await harness.submitted()
    acquire_next = acquire_each([training], harness.owner)

    async def acquire_and_lose() -> Provisioning | None:
        if (acquired := await acquire_next()) is not None:
            clock.advance(LEASE_SECONDS)
            await harness.context.leases.acquire(acquired.id, other_owner, harness.context.lease_duration)
        return acquired

    counts = await run_many(acquire_and_lose, harness.owner, timeout_seconds=0)
    assert counts == {"ledger.lease-unavailable": 1}
    assert clock.waits == []


async def test_new_avatar_is_not_polled_by_a_run_that_does_not_wait(
    harness: ProvisioningHarness,  # noqa: F811
    gateway: SimulatorGateway,  # noqa: F811
) -> None:
    accepted = [await harness.accepted(reference=f"ada-{number}") for number in range(3)]
    requests: list[str] = []
    gateway.on_request = lambda method, path: requests.append(f"{method} {path}")
    counts = await run_many(acquire_each(accepted, harness.owner), harness.owner, timeout_seconds=0)
    assert counts == {Status.TRAINING: 3}
    assert requests == ["GET /v1/avatars", *["POST /v1/avatars"] * 3]  # the list tells about unknown avatars
