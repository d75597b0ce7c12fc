"""Two workers, each with a run of `provision-pending`, share what waits in one PostgreSQL ledger."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from models.clock import SystemClock
from models.provisioning import Driver, Status
from models.request import ProvisioningRequest
from simulator.server import ArgilSimulator, running_argil
from store.database import Database
from store.provisionings import Ledger
from tests.stack import Api, until
from tests.workers import work_pool, worker

PENDING = 2000
LEAST_SHARE = 0.3
WORKERS = 2
NEVER_SECONDS = "31536000"

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.postgres, pytest.mark.timeout(600)]


@pytest.fixture
def argil(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArgilSimulator]:
    with running_argil(api_key="canary-api-key", training_seconds=600) as running:
        for name, value in {
            "ARGIL_API_URL": running.api_url,
            "ARGIL_API_KEY": running.api_key,
            "AVATARS_DATABASE_URL": database_url,
            "AVATARS_MEDIA_CHECK": "off",
            "AVATARS_REQUESTS_PER_SECOND": "1000",
            "AVATARS_PENDING_SECONDS": NEVER_SECONDS,
            "AVATARS_RECONCILE_SECONDS": NEVER_SECONDS,
        }.items():
            monkeypatch.setenv(name, value)
        yield running


async def enqueue(database: Database) -> Ledger:
    ledger = Ledger(database, SystemClock())
    for number in range(PENDING):
        request = ProvisioningRequest(
            name=f"avatar {number}",
            dataset_video=f"https://videos.example/{number}/dataset.mp4",
            consent_video=f"https://videos.example/{number}/consent.mp4",
        )
        await ledger.open(request, f"creator-{number}", Driver(actor="enqueue", id=str(uuid4())))
    return ledger


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_two_workers_share_what_waits_and_make_no_avatar_twice(
    prefect_api_url: str, database: Database, argil: ArgilSimulator, tmp_path: Path
) -> None:
    ledger = await enqueue(database)
    with contextlib.closing(Api(prefect_api_url)) as api, work_pool(api) as pool, contextlib.ExitStack() as workers:
        for _ in range(WORKERS):
            workers.enter_context(worker(pool, tmp_path, "--limit", "1"))  # so each takes one run

        def online() -> bool | None:
            found = api.call("POST", f"/work_pools/{pool}/workers/filter", {}).json()
            return Counter(one["status"] for one in found)["ONLINE"] == WORKERS or None

        until(online, "both workers")
        runs = [api.create_run("provision-pending/scheduled", {}).json()["id"] for _ in range(WORKERS)]
        ends = [api.end_of(run) for run in runs]
    assert [end["type"] for end in ends] == ["COMPLETED"] * WORKERS
    assert Counter(one["name"] for one in argil.world.avatars) == {
        f"avatar {number}": 1 for number in range(PENDING)
    }
    found = await ledger.newest(Status.TRAINING, PENDING + 1)
    shares = Counter(one.flow_run_id for one in found)
    assert shares.keys() == set(runs)
    assert shares.total() == PENDING
    assert min(shares.values()) >= LEAST_SHARE * PENDING, shares
