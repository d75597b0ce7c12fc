"""`avatars reconcile`: one pass over an orphaned provisioning, and its JSON document."""

from __future__ import annotations

import pytest

from models.clock import SystemClock
from models.provisioning import LeaseOwner, Status
from models.request import ProvisioningRequest
from models.settings import Settings
from services.store import open_store
from simulator.server import ArgilSimulator
from tests.cli_process import avatars


@pytest.mark.system
@pytest.mark.prefect
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("prefect_api_url")
async def test_reconcile_json_counts_advanced_orphans(
    simulated: ArgilSimulator, provisioning_request: ProvisioningRequest
) -> None:
    async with open_store(Settings.load(), SystemClock()) as store:
        crashed = LeaseOwner(actor="crashed", id="crashed")
        provisioning, _ = await store.ledger.get_or_create(provisioning_request, "creator-1", crashed)
        await store.ledger.begin_submission(provisioning, crashed, "recorded")
        result = avatars("reconcile", "--json", AVATARS_MEDIA_CHECK="off")
        assert result.code == 0, result.err
        assert result.document == {
            "resumed": 0,
            "advanced": 1,
            "cancelled": 0,
            "by_status": {"TRAINING": 1},
            "unknown_avatars": 0,
            "voices": 0,
        }
        assert (await store.ledger.get("creator-1")).status is Status.TRAINING
    assert len(simulated.account.posts) == 1
