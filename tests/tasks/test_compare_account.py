"""The account at Argil against the ledger: duplicates are reported once, and what is ours is left alone."""

from __future__ import annotations

import pytest

from models.avatar import SUBMISSION_KEY
from models.provisioning import Status, SubmissionState
from models.settings import Settings
from simulator.server import ArgilSimulator
from tasks import report_duplicate as module
from tasks.submit_avatar import create_request
from tests.tasks.conftest import Desk, EventfulClock, unattended


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(module, "announce_duplicate", lambda _, avatar_id: told.append(avatar_id))
    return told


async def test_a_lost_create_that_shows_up_after_all_is_reported_once_as_a_duplicate(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock, announced: list[str]
) -> None:
    """The simulator hides the avatar past the grace period: nothing can exclude a second one then."""
    accepted = await desk.accepted("cut-before-create")
    submitting = await desk.found(await desk.submitted_from(accepted))
    assert submitting.status is Status.ACCEPTED
    [lost] = await desk.submissions(submitting)
    assert lost.state is SubmissionState.LOST
    training = await desk.submitted_from(submitting)
    assert training.status is Status.TRAINING
    late = await desk.active.argil.create(create_request(desk.request, lost.id))
    for _ in range(2):
        await unattended(desk.driver)
    assert announced == [late.id]
    assert sum("duplicate at Argil" in why for why in await desk.whys(training)) == 1
    assert (await desk.now(training)).version == training.version


async def test_what_is_ours_and_what_is_somebody_elses_is_left_alone(
    desk: Desk, argil: ArgilSimulator, announced: list[str]
) -> None:
    training = await desk.submitted()
    request = create_request(desk.request, "00000000-0000-0000-0000-000000000000")
    stranger = await desk.active.argil.create(request)
    assert stranger.extras[SUBMISSION_KEY]
    before = await desk.whys(training)
    await unattended(desk.driver)
    assert announced == []
    assert await desk.whys(training) == before


@pytest.mark.parametrize("changes", [{"avatars_retrain_limit": 1}])
async def test_the_failed_avatar_of_a_retrain_is_no_duplicate(
    desk: Desk, argil: ArgilSimulator, announced: list[str]
) -> None:
    from tasks.record_training_failure import record_training_failure

    assert isinstance(desk.active.settings, Settings)
    failed = await desk.trained("fail", "TRAINING_FAILED")
    again = await desk.submitted_from(await record_training_failure.fn(failed.id, desk.driver))
    assert len(argil.world.avatars) == 2
    await unattended(desk.driver)
    assert again.status is Status.TRAINING
    assert announced == []
