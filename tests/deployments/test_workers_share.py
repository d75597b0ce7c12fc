"""Two workers, each with one `provision-pending` run, share the pending requests of one PostgreSQL ledger."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from models.clock import SystemClock
from models.provisioning import LeaseOwner, Status
from models.request import ProvisioningRequest
from simulator.server import ArgilSimulator, run_argil
from store.database import Database
from store.ledger import Ledger
from tests.prefect_workers import work_pool, worker
from tests.stack import PrefectApi, wait_for

PENDING = 2000
MIN_SHARE = 0.3
WORKERS = 2
NEVER_SECONDS = "31536000"
LIMIT_SECONDS = 500
"""Of one run of PENDING submissions: two minutes on two idle cores."""

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.postgres, pytest.mark.timeout(600)]


@pytest.fixture
def argil(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArgilSimulator]:
    with run_argil(api_key="canary-api-key", training_seconds=600) as running:
        for name, value in {
            "ARGIL_API_URL": running.api_url,
            "ARGIL_API_KEY": running.api_key,
            "AVATARS_DATABASE_URL": database_url,
            "AVATARS_MEDIA_CHECK": "off",
            "AVATARS_REQUESTS_PER_SECOND": "1000",
            "AVATARS_PENDING_INTERVAL_SECONDS": NEVER_SECONDS,
            "AVATARS_RECONCILE_INTERVAL_SECONDS": NEVER_SECONDS,
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
        await ledger.get_or_create(request, f"creator-{number}", LeaseOwner(actor="enqueue", id=str(uuid4())))
    return ledger


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_two_workers_share_pending_without_duplicates(
    prefect_api_url: str, database: Database, argil: ArgilSimulator, tmp_path: Path
) -> None:
    ledger = await enqueue(database)
    with (
        contextlib.closing(PrefectApi(prefect_api_url)) as api,
        work_pool(api) as pool,
        contextlib.ExitStack() as workers,
    ):
        for _ in range(WORKERS):
            workers.enter_context(worker(pool, tmp_path, "--limit", "1"))  # so that each executes one run

        def online() -> bool | None:
            workers = api.call("POST", f"/work_pools/{pool}/workers/filter", {}).json()
            return Counter(worker["status"] for worker in workers)["ONLINE"] == WORKERS or None

        wait_for(online, "both workers")
        runs = [api.create_run("provision-pending/scheduled", {}).json()["id"] for _ in range(WORKERS)]
        states = [api.wait_for_final_state(run, LIMIT_SECONDS) for run in runs]
    assert [state["type"] for state in states] == ["COMPLETED"] * WORKERS
    assert Counter(avatar["name"] for avatar in argil.account.avatars) == {
        f"avatar {number}": 1 for number in range(PENDING)
    }
    provisionings = await ledger.list_latest(Status.TRAINING, PENDING + 1)
    shares = Counter(provisioning.flow_run_id for provisioning in provisionings)
    assert shares.keys() == set(runs)
    assert shares.total() == PENDING
    assert min(shares.values()) >= MIN_SHARE * PENDING, shares
