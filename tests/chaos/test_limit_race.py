"""50 writers, each a process, race for a limit of 20 on both engines; some are killed at random."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from models.clock import SystemClock
from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState
from models.request import ProvisioningRequest
from simulator.server import ArgilSimulator, run_argil
from store.database import Database
from store.ledger import Ledger
from tests.chaos.invariants import find_counter_differences
from tests.chaos.test_race import ROOT, SEED

WRITERS, VICTIMS, LIMIT = 50, 20, 20
INVALID_INTERVAL = 10
"""Argil rejects every tenth request, which gives its place to another one."""

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.fixture
def argil() -> Iterator[ArgilSimulator]:
    with run_argil(api_key="race-key", training_seconds=60.0) as running:
        yield running


def race(database_url: str, argil: ArgilSimulator, references: list[str], victims: int, home: Path) -> list[str]:
    """Let one writer submit each reference, and return the results."""
    settings = {
        "ARGIL_API_URL": argil.api_url,
        "ARGIL_API_KEY": argil.api_key,
        "AVATARS_DATABASE_URL": database_url,
        "AVATARS_MAX_CREATES_PER_DAY": str(LIMIT),
        "AVATARS_REQUESTS_PER_SECOND": "1000",
        "PYTHONPATH": str(ROOT),
    }
    completed = subprocess.run(
        [sys.executable, "-m", "tests.chaos.limit_writers"],
        input=json.dumps({"references": references, "victims": victims, "seed": SEED}),
        capture_output=True,
        text=True,
        cwd=home,
        env={**os.environ, **settings},
        check=False,
        timeout=240,
    )
    assert (completed.returncode, completed.stderr) == (0, "")
    results: list[str] = json.loads(completed.stdout)
    return results


class Race:
    """The ledger of the race, and what recovers the provisionings of killed writers."""

    def __init__(self, database: Database, argil: ArgilSimulator) -> None:
        self._database, self._argil = database, argil
        self._ledger = Ledger(database, SystemClock())
        self._owner = LeaseOwner(actor="race", id=str(uuid4()))

    async def record(self, number: int) -> str:
        name = f"avatar-{number}"
        request = ProvisioningRequest(
            name=name,
            dataset_video=f"https://videos.example/{name}/dataset.mp4",
            consent_video=f"https://videos.example/{name}/consent.mp4",
            extras={"simulator": "invalid"} if number % INVALID_INTERVAL == 0 else {},
            reference=name,
        )
        await self._ledger.get_or_create(request, name, self._owner)
        return name

    async def provisionings(self, status: Status) -> list[Provisioning]:
        return await self._ledger.list_latest(status, WRITERS)

    async def recover(self) -> None:
        """Resolve the submissions of killed writers as a lookup does: with their avatar, or as lost."""
        avatars = {avatar["extras"]["submission_id"]: avatar["id"] for avatar in self._argil.account.avatars}
        for provisioning in await self.provisionings(Status.SUBMITTING):
            [*_, submission] = await self._ledger.list_submissions(provisioning.id)
            avatar_id = avatars.get(submission.id)
            await self._ledger.resolve_submission(
                provisioning,
                self._owner,
                "recovered",
                submission,
                SubmissionState.LOST if avatar_id is None else SubmissionState.CREATED,
                new_status=Status.ACCEPTED if avatar_id is None else Status.TRAINING,
                avatar_id=avatar_id,
            )

    async def check(self) -> Counter[SubmissionState]:
        """Return the submissions by state, after all guarantees about them were checked."""
        differences = await self._database.read(find_counter_differences)
        assert differences == []
        submissions = [
            submission
            for status in Status
            for item in await self.provisionings(status)
            for submission in await self._ledger.list_submissions(item.id)
        ]
        assert len(self._argil.account.avatars) <= LIMIT
        assert {avatar["extras"]["submission_id"] for avatar in self._argil.account.avatars} <= {
            submission.id for submission in submissions
        }
        return Counter(submission.state for submission in submissions)


async def test_racing_writers_create_no_more_than_the_limit(
    database: Database, database_url: str, argil: ArgilSimulator, tmp_path: Path
) -> None:
    running = Race(database, argil)
    references = [await running.record(number) for number in range(WRITERS)]

    results = race(database_url, argil, references, VICTIMS, tmp_path)

    assert set(results) <= {Status.TRAINING, Status.SUBMISSION_FAILED, "budget.day", "killed"}, Counter(results)
    await running.check()
    await running.recover()
    states = await running.check()
    assert states[SubmissionState.PENDING] == 0
    counted = states[SubmissionState.CREATED] + states[SubmissionState.LOST]
    assert counted <= LIMIT
    # The writers that are left use up what a killed writer, or a rejected request, left of the limit.
    waiting = [item.reference for item in await running.provisionings(Status.ACCEPTED)]
    valid = [reference for reference in waiting if int(reference.rpartition("-")[2]) % INVALID_INTERVAL]
    again = race(database_url, argil, valid, 0, tmp_path)
    left = LIMIT - counted
    assert Counter(again) == Counter({str(Status.TRAINING): left, "budget.day": len(valid) - left})
    states = await running.check()
    assert states[SubmissionState.CREATED] + states[SubmissionState.LOST] == LIMIT
    assert len(argil.account.avatars) == states[SubmissionState.CREATED]
