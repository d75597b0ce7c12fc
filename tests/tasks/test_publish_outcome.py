"""What is announced to automations reaches Prefect's server."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from simulator.server import ArgilSimulator
from tasks.submit_avatar import submit_avatar
from tests.tasks.conftest import GRACE_SECONDS, Desk, EventfulClock

PATIENCE_SECONDS = 60
LOOK_SECONDS = 0.3


async def events_about(prefect_api_url: str, provisioning_id: str) -> list[dict[str, Any]]:
    """Ask until there are any; the deadline bounds a failure, it measures nothing."""
    about = {"any_resource": {"id": [f"avatars.provisioning.{provisioning_id}"]}}
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    async with httpx.AsyncClient(base_url=prefect_api_url) as http:
        while time.monotonic() < give_up_at:
            answer = await http.post("/events/filter", json={"filter": about})
            events: list[dict[str, Any]] = answer.raise_for_status().json()["events"]
            if events:
                return events
            await asyncio.sleep(LOOK_SECONDS)
    pytest.fail("waited in vain: the event")


@pytest.mark.prefect
@pytest.mark.parametrize("timing", [{"list_lag_seconds": GRACE_SECONDS + 20}])
async def test_an_avatar_that_was_made_twice_is_announced(
    prefect_api_url: str, desk: Desk, argil: ArgilSimulator, clock: EventfulClock
) -> None:
    lost = await desk.found(await desk.submitted("cut-after-create,garbled,list-lag"))
    unknown = await submit_avatar.fn(lost, desk.driver)
    clock.pass_(3600)
    adopted = await desk.found(unknown)
    first, second = argil.world.avatars
    [event] = await events_about(prefect_api_url, adopted.id)
    assert event["event"] == "avatar.duplicate"
    assert event["resource"]["prefect.resource.name"] == adopted.name
    assert event["payload"] == {
        "provisioning_id": adopted.id,
        "reference": adopted.reference,
        "avatar_id": first["id"],
        "duplicate_avatar_id": second["id"],
    }
