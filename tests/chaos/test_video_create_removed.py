"""Argil removes the create with videos in the middle of a batch, in virtual time; images follow."""

from __future__ import annotations

from collections import Counter

import pytest

from models.provisioning import Status
from tests.chaos import deterministic_scheduler
from tests.chaos.simulation import SCHEDULES, SIGNED, Simulation, make_image_request
from tests.chaos.test_many_at_once import LedgerFactory, batch, make_requests, read_all, run_history, statuses
from tests.chaos.totals import TIMEOUT_SECONDS

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("deterministic"), pytest.mark.timeout(TIMEOUT_SECONDS)]

ROWS, SUBMITTED = 200, 50
REMOVED_MINUTES = 45
CODES = {"argil.video-create-removed", "pause.video-create"}


@pytest.fixture(autouse=True)
def many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deterministic_scheduler, "MAX_STEPS", 400_000)


def test_removal_in_a_batch_loses_nothing_and_images_follow(fresh_ledger_file: LedgerFactory) -> None:
    async def history(simulation: Simulation) -> None:
        account = simulation.account
        account.removes_video_create_after(SUBMITTED)
        results: list[str] = []
        await simulation.finish(batch(make_requests(ROWS, SIGNED), results))
        assert Counter(results) == {Status.READY: SUBMITTED, Status.ACCEPTED: ROWS - SUBMITTED}
        waiting = [item for item in (await read_all(simulation)).values() if item.status is Status.ACCEPTED]
        assert len(waiting) == ROWS - SUBMITTED
        assert {reason.code for item in waiting for reason in item.reasons} <= CODES
        assert all(item.reasons for item in waiting)

        before = len(account.received)
        for minute in range(1, REMOVED_MINUTES + 1):
            await simulation.scheduler.advance_time(60)
            for job in SCHEDULES:
                await simulation.finish(job)
            assert len(account.received) - before <= -(-minute // 15)
        assert len(account.received) > before  # a probe was sent
        assert (await statuses(simulation))[Status.ACCEPTED] == ROWS - SUBMITTED

        images = [make_image_request(item.reference, "") for item in waiting]
        image_results: list[str] = []
        await simulation.finish(batch(images, image_results))
        assert Counter(image_results) == {Status.READY: ROWS - SUBMITTED}
        assert await statuses(simulation) == {Status.READY: ROWS}
        assert len(account.avatars) == ROWS

    run_history(fresh_ledger_file(), history)
