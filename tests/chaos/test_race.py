"""Two reconcilers and two runners, each a process, race for orphaned provisionings on both database engines."""

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
from models.provisioning import LeaseOwner, Provisioning, Status, Submission, SubmissionState
from models.request import ProvisioningRequest
from simulator.server import ArgilSimulator, run_argil
from store.database import Database
from store.leases import LeaseRepository
from store.ledger import Ledger
from tests.chaos.invariants import MAX_PROVISIONINGS, check_invariants
from tests.fakes import FakeClock

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("AVATARS_CHAOS_SEED", "11"))
GRACE_SECONDS = 1.0
DEAD_FOR = timedelta(minutes=2)
"""How long ago the workers died; their leases have expired."""
EXPECTED = (
    "no avatar has the submission id after the grace period: the submission is presumed lost",
    "the create request was sent but got no response",
)

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class OrphanSpec:
    """The stage at which a share of the workers died, and the expected status."""

    share: int
    stage: str
    scenario: str = ""
    sent: bool = False
    expected_status: Status = Status.READY


ORPHANS = (
    OrphanSpec(7, "accepted"),
    OrphanSpec(2, "accepted", "fail", expected_status=Status.TRAINING_FAILED),
    OrphanSpec(2, "accepted", "refuse", expected_status=Status.REFUSED),
    OrphanSpec(2, "accepted", "cut-after-create"),
    OrphanSpec(1, "accepted", "cut-before-create"),
    OrphanSpec(1, "accepted", "unavailable"),
    OrphanSpec(4, "recorded"),
    OrphanSpec(5, "recorded", sent=True),
    OrphanSpec(3, "unknown"),
    OrphanSpec(4, "unknown", sent=True),
    OrphanSpec(3, "training", sent=True),
    OrphanSpec(3, "training", "fail", sent=True, expected_status=Status.TRAINING_FAILED),
    OrphanSpec(3, "training", "refuse", sent=True, expected_status=Status.REFUSED),
)
SHARES = sum(spec.share for spec in ORPHANS)


@pytest.fixture
def argil() -> Iterator[ArgilSimulator]:
    with run_argil(api_key="race-key", training_seconds=1.5, retry_after_seconds=0.5) as running:
        yield running


@pytest.fixture
async def client(argil: ArgilSimulator) -> AsyncIterator[ArgilClient]:
    async with ArgilClient(argil.api_url, argil.api_key, clock=SystemClock(), requests_per_second=1e6) as opened:
        yield opened


class DeadWorkers:
    """Lease owners that died a while ago, each during one provisioning."""

    def __init__(self, database: Database, client: ArgilClient) -> None:
        clock = FakeClock()
        clock.time = SystemClock().now() - DEAD_FOR
        self._ledger = Ledger(database, clock)
        self._leases = LeaseRepository(database, clock)
        self._client = client

    async def orphan(self, name: str, spec: OrphanSpec) -> None:
        from services.submissions import build_create_request

        owner = LeaseOwner(actor="dead", id=str(uuid4()))
        request = ProvisioningRequest(
            name=name,
            dataset_video=f"https://videos.example/{name}/dataset.mp4",
            consent_video=f"https://videos.example/{name}/consent.mp4",
            extras={"simulator": spec.scenario} if spec.scenario else {},
            reference=name,
        )
        created, _ = await self._ledger.get_or_create(request, name, owner)
        leased = await self._leases.acquire(created.id, owner, -DEAD_FOR)
        if spec.stage == "accepted":
            return
        provisioning, submission = await self._ledger.begin_submission(leased, owner, "a submission was recorded")
        avatar = (
            await self._client.create_avatar(build_create_request(request, submission.id, request.recordings))
            if spec.sent
            else None
        )
        if spec.stage == "unknown":
            await self._resolve(provisioning, owner, submission, SubmissionState.UNKNOWN)
        elif spec.stage == "training" and avatar is not None:
            changes = {
                "new_status": Status.TRAINING,
                "avatar_id": avatar.id,
                "training_started_at": submission.created_at,
            }
            await self._resolve(provisioning, owner, submission, SubmissionState.CREATED, **changes)

    async def _resolve(
        self,
        provisioning: Provisioning,
        owner: LeaseOwner,
        submission: Submission,
        state: SubmissionState,
        **changes: Any,
    ) -> None:
        await self._ledger.resolve_submission(
            provisioning, owner, f"the create is {state}", submission, state, **changes
        )


def count_contested(in_flight: int) -> int:
    """Return how many the runners race for: a fifth is left to the reconcilers, which are slower to begin."""
    return in_flight * 4 // 5


def race(database_url: str, argil: ArgilSimulator, references: list[str], home: Path) -> list[dict[str, Any]]:
    """Run all workers to completion and return their reports. Only EXPECTED messages may appear on stderr."""
    rng = random.Random(SEED)  # noqa: S311  # seeded: repeatable
    contested = rng.sample(references, count_contested(len(references)))
    orders = [None, None, *(rng.sample(contested, len(contested)) for _ in range(2))]
    environment = {
        "ARGIL_API_URL": argil.api_url,
        "ARGIL_API_KEY": argil.api_key,
        "AVATARS_DATABASE_URL": database_url,
        "AVATARS_MEDIA_CHECK": "off",
        "AVATARS_POLL_MIN_SECONDS": "1",
        "AVATARS_POLL_MAX_SECONDS": "2",
        "AVATARS_LOOKUP_GRACE_SECONDS": str(GRACE_SECONDS),
        "AVATARS_GONE_AFTER_SECONDS": str(GRACE_SECONDS),
        "AVATARS_REQUESTS_PER_SECOND": "1000",
        "PYTHONPATH": str(ROOT),
    }
    completed = subprocess.run(
        [sys.executable, "-m", "tests.chaos.race_workers"],
        input="\n".join(map(json.dumps, orders)),
        capture_output=True,
        text=True,
        cwd=home,
        env={**os.environ, **environment},
        check=False,
        timeout=240,
    )
    unexpected = [
        line for line in completed.stderr.splitlines() if not any(message in line for message in EXPECTED)
    ]
    assert (completed.returncode, unexpected) == (0, [])
    return [json.loads(line) for line in completed.stdout.splitlines()]


@pytest.mark.parametrize("in_flight", [40, 200])
async def test_racing_processes_finish_each_orphan_exactly_once(
    database: Database,
    database_url: str,
    argil: ArgilSimulator,
    client: ArgilClient,
    tmp_path: Path,
    in_flight: int,
) -> None:
    dead = DeadWorkers(database, client)
    expected_statuses = {}
    for number, spec in enumerate(ORPHANS):
        for index in range(spec.share * in_flight // SHARES):
            name = f"{spec.stage}-{number}-{index}"
            expected_statuses[name] = spec.expected_status
            await dead.orphan(name, spec)
    assert len(expected_statuses) == in_flight

    reports = race(database_url, argil, list(expected_statuses), tmp_path)

    ledger = Ledger(database, SystemClock())
    provisionings = await ledger.list_latest(None, MAX_PROVISIONINGS)
    assert {provisioning.name: provisioning.status for provisioning in provisionings} == expected_statuses
    assert Counter(avatar["name"] for avatar in argil.account.avatars) == Counter(expected_statuses.keys())
    violations = await check_invariants(ledger, argil.account)
    assert not violations, violations
    for provisioning in provisionings:
        transitions = [
            (event.from_status, event.to_status)
            for event in await ledger.list_events(provisioning.id)
            if event.from_status != event.to_status
        ]
        repeatable = {Status.ACCEPTED, Status.SUBMITTING}  # a submission presumed lost leads back to ACCEPTED
        repeated = [
            new_status
            for (_, new_status), count in Counter(transitions).items()
            if count > 1 and new_status not in repeatable
        ]
        assert not repeated, (provisioning.name, transitions)
        assert await ledger.list_duplicates(provisioning.id) == []
    assert_only_outcomes(reports, in_flight)
    assert_exclusive_leases(reports, in_flight)


def assert_only_outcomes(reports: list[dict[str, Any]], in_flight: int) -> None:
    """Assert that every run ended with an outcome, and that no reconcile pass counted an error."""
    names = {outcome.state_name for status, outcome in OUTCOMES.items() if status.is_terminal}
    for report in reports:
        if report["kind"] == "runner":
            assert len(report["final_states"]) == count_contested(in_flight)
            assert set(report["final_states"]) <= names
            continue
        for message in report["final_states"]:
            if message.startswith("another run of reconcile-avatars is at work"):
                continue
            match = re.fullmatch(
                r"0 runs resumed; \d+ orphaned provisionings? advanced; 0 cancelled((?:; \d+ [\w.-]+)*)"
                r"(?:; \d+ voices? found)?(?:; the rest is left to the next run)?",
                message,
            )
            assert match, message
            assert set(re.findall(r"; \d+ ([\w.-]+)", match[1])) <= set(Status), message


def assert_exclusive_leases(reports: list[dict[str, Any]], in_flight: int) -> None:
    """Assert that no two owners held the same lease at once, and that they did compete for leases."""
    leases = defaultdict(list)
    for report in reports:
        for provisioning_id, owner, since, until in report["lease_intervals"]:
            leases[provisioning_id].append((since, until, owner, report["kind"]))
    assert len(leases) == in_flight
    for intervals in leases.values():
        intervals.sort()
        for (_, until, *_), (since, *_) in pairwise(intervals):
            assert until <= since, intervals
    assert sum(report["failed_acquisitions"] for report in reports) > 0
    assert {kind for intervals in leases.values() for *_, kind in intervals} == {"reconciler", "runner"}
