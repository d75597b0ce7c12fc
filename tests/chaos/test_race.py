"""Two reconcilers and two runners, each a process, race for what dead drivers left in flight: on both engines."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from clients.argil import ArgilClient
from models.clock import SystemClock
from models.outcomes import OUTCOMES
from models.provisioning import Driver, Provisioning, Status, Submission, SubmissionState
from models.request import ProvisioningRequest
from simulator.server import ArgilSimulator, running_argil
from store.database import Database
from store.leases import Leases
from store.provisionings import Ledger
from tests.chaos.audit import MANY, audit
from tests.fakes import FakeClock

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("AVATARS_CHAOS_SEED", "11"))
GRACE_SECONDS = 1.0
DIED = timedelta(minutes=2)
"""So long ago: their leases have run out."""
EXPECTED = (
    "no avatar carries the create's key after the grace period: it is taken for lost",
    "the create was sent and got no answer",
)

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Left:
    """How drivers left some provisionings when they died."""

    share: int
    at: str
    scenario: str = ""
    sent: bool = False
    end: Status = Status.READY


LEFT = (
    Left(7, "accepted"),
    Left(2, "accepted", "fail", end=Status.TRAINING_FAILED),
    Left(2, "accepted", "refuse", end=Status.REFUSED),
    Left(2, "accepted", "cut-after-create"),
    Left(1, "accepted", "cut-before-create"),
    Left(1, "accepted", "unavailable"),
    Left(4, "recorded"),
    Left(5, "recorded", sent=True),
    Left(3, "unknown"),
    Left(4, "unknown", sent=True),
    Left(3, "training", sent=True),
    Left(3, "training", "fail", sent=True, end=Status.TRAINING_FAILED),
    Left(3, "training", "refuse", sent=True, end=Status.REFUSED),
)
SHARES = sum(left.share for left in LEFT)


@pytest.fixture
def argil() -> Iterator[ArgilSimulator]:
    with running_argil(api_key="race-key", training_seconds=1.5, retry_after_seconds=0.5) as running:
        yield running


@pytest.fixture
async def client(argil: ArgilSimulator) -> AsyncIterator[ArgilClient]:
    async with ArgilClient(argil.api_url, argil.api_key, clock=SystemClock(), requests_per_second=1e6) as opened:
        yield opened


class Dead:
    """Drivers that died a while ago, each in the middle of one provisioning."""

    def __init__(self, database: Database, client: ArgilClient) -> None:
        clock = FakeClock()
        clock.time = SystemClock().now() - DIED
        self._ledger = Ledger(database, clock)
        self._leases = Leases(database, clock)
        self._client = client

    async def leave(self, name: str, left: Left) -> None:
        from tasks.submit_avatar import create_request

        driver = Driver(actor="dead", id=str(uuid4()))
        request = ProvisioningRequest(
            name=name,
            dataset_video=f"https://videos.example/{name}/dataset.mp4",
            consent_video=f"https://videos.example/{name}/consent.mp4",
            extras={"simulator": left.scenario} if left.scenario else {},
            reference=name,
        )
        opened, _ = await self._ledger.open(request, name, driver)
        claimed = await self._leases.claim(opened.id, driver, timedelta(seconds=30))
        if left.at == "accepted":
            return
        seen, submission = await self._ledger.begin_submission(claimed, driver, "a create was recorded")
        avatar = await self._client.create(create_request(request, submission.id)) if left.sent else None
        if left.at == "unknown":
            await self._settle(seen, driver, submission, SubmissionState.UNKNOWN)
        elif left.at == "training" and avatar is not None:
            changes = {"to": Status.TRAINING, "avatar_id": avatar.id, "training_since": submission.created_at}
            await self._settle(seen, driver, submission, SubmissionState.TAKEN, **changes)

    async def _settle(
        self, seen: Provisioning, driver: Driver, submission: Submission, state: SubmissionState, **changes: Any
    ) -> None:
        await self._ledger.settle_submission(seen, driver, f"the create is {state}", submission, state, **changes)


def race(database_url: str, argil: ArgilSimulator, references: list[str], home: Path) -> list[dict[str, Any]]:
    """Let them race to their ends; returns what each tells. They may say that answers are missing, nothing else."""
    chance = random.Random(SEED)  # noqa: S311  # it is to be repeatable
    orders = [None, None, *(chance.sample(references, len(references)) for _ in range(2))]
    environment = {
        "ARGIL_API_URL": argil.api_url,
        "ARGIL_API_KEY": argil.api_key,
        "AVATARS_DATABASE_URL": database_url,
        "AVATARS_MEDIA_CHECK": "off",
        "AVATARS_POLL_FLOOR_SECONDS": "1",
        "AVATARS_POLL_CEILING_SECONDS": "2",
        "AVATARS_LOOKUP_GRACE_SECONDS": str(GRACE_SECONDS),
        "AVATARS_REQUESTS_PER_SECOND": "1000",
        "PYTHONPATH": str(ROOT),
    }
    ran = subprocess.run(
        [sys.executable, "-m", "tests.chaos.racers"],
        input="\n".join(map(json.dumps, orders)),
        capture_output=True,
        text=True,
        cwd=home,
        env={**os.environ, **environment},
        check=False,
        timeout=240,
    )
    said = [line for line in ran.stderr.splitlines() if not any(words in line for words in EXPECTED)]
    assert (ran.returncode, said) == (0, [])
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.mark.parametrize("in_flight", [40, 200])
async def test_two_reconcilers_and_two_runners_race_for_what_is_in_flight(
    database: Database,
    database_url: str,
    argil: ArgilSimulator,
    client: ArgilClient,
    tmp_path: Path,
    in_flight: int,
) -> None:
    dead = Dead(database, client)
    ends = {}
    for number, left in enumerate(LEFT):
        for each in range(left.share * in_flight // SHARES):
            name = f"{left.at}-{number}-{each}"
            ends[name] = left.end
            await dead.leave(name, left)
    assert len(ends) == in_flight

    told = race(database_url, argil, list(ends), tmp_path)

    ledger = Ledger(database, SystemClock())
    found = await ledger.newest(None, MANY)
    assert {one.name: one.status for one in found} == ends
    assert Counter(avatar["name"] for avatar in argil.world.avatars) == Counter(ends.keys())
    verdict = await audit(ledger, argil.world)
    assert not verdict, verdict
    for one in found:
        moves = [(e.from_status, e.to_status) for e in await ledger.events(one.id) if e.from_status != e.to_status]
        again = {Status.ACCEPTED, Status.SUBMITTING}  # a create taken for lost leads back to ACCEPTED
        assert all(count == 1 for (_, to), count in Counter(moves).items() if to not in again), (one.name, moves)
        assert await ledger.duplicates(one.id) == []
    no_errors_but_outcomes(told, in_flight)
    one_driver_at_a_time(told, in_flight)


def no_errors_but_outcomes(told: list[dict[str, Any]], in_flight: int) -> None:
    """Every run ended with an outcome, and every tick told of statuses alone."""
    names = {outcome.state_name for status, outcome in OUTCOMES.items() if status.is_end}
    for racer in told:
        if racer["kind"] == "runner":
            assert len(racer["ends"]) == in_flight
            assert set(racer["ends"]) <= names
            continue
        for message in racer["ends"]:
            counted = re.fullmatch(
                r"0 runs resumed; \d+ driven without a run; 0 cancelled((?:; \d+ [\w.-]+)*)", message
            )
            assert counted, message
            assert set(re.findall(r"; \d+ ([\w.-]+)", counted[1])) <= set(Status), message


def one_driver_at_a_time(told: list[dict[str, Any]], in_flight: int) -> None:
    """No two drivers held one provisioning together; and they did meet, or there was no race."""
    held = defaultdict(list)
    for racer in told:
        for provisioning_id, driver, since, until in racer["held"]:
            held[provisioning_id].append((since, until, driver, racer["kind"]))
    assert len(held) == in_flight
    for turns in held.values():
        turns.sort()
        for (_, until, *_), (since, *_) in pairwise(turns):
            assert until <= since, turns
    assert sum(racer["lost_claims"] for racer in told) > 0
    assert {kind for turns in held.values() for *_, kind in turns} == {"reconciler", "runner"}
