"""Events: their texts are safe to show, and they reach Prefect's server."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from flows.engine.voice_announcement import announce_voices
from models.provisioning import Status
from models.reason import Reason
from models.reports.artifact_keys import avatar_key
from models.text.escaping import MAX_EVENT_CHARACTERS, short_line
from models.text.redaction import redact
from services.prefect_api.events import event_content
from simulator.server import ArgilSimulator
from tasks.await_training import await_training
from tasks.find_voices import find_voices
from tasks.record_outcome import record_outcome
from tasks.submit_avatar import submit_avatar
from tests.hostile_texts import HOSTILE_PARAMETERS
from tests.models.reports.test_markdown_reports import provisioning
from tests.provisioning_harness import GRACE_SECONDS, ProvisioningHarness, ScriptedClock

TIMEOUT_SECONDS = 60
POLL_SECONDS = 0.3


async def events_about(prefect_api_url: str, provisioning_id: str) -> list[dict[str, Any]]:
    """Poll until there are events about the provisioning; the deadline only bounds a failure."""
    event_filter = {"any_resource": {"id": [f"avatars.provisioning.{provisioning_id}"]}}
    deadline = time.monotonic() + TIMEOUT_SECONDS
    async with httpx.AsyncClient(base_url=prefect_api_url) as http:
        while time.monotonic() < deadline:
            response = await http.post("/events/filter", json={"filter": event_filter})
            events: list[dict[str, Any]] = response.raise_for_status().json()["events"]
            if events:
                return events
            await asyncio.sleep(POLL_SECONDS)
    pytest.fail(f"no event within {TIMEOUT_SECONDS} seconds")


@pytest.mark.prefect
@pytest.mark.parametrize("timing", [{"list_lag_seconds": GRACE_SECONDS + 20}])
async def test_duplicate_event_reaches_the_server(
    prefect_api_url: str, harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock
) -> None:
    lost = await harness.resolve_submission(await harness.submitted("cut-after-create,garbled,list-lag"))
    unknown = await submit_avatar.fn(lost, harness.owner)
    clock.advance(3600)
    adopted = await harness.resolve_submission(unknown)
    first, second = argil.account.avatars
    [event] = await events_about(prefect_api_url, adopted.id)
    assert event["event"] == "avatar.duplicate"
    assert event["resource"]["prefect.resource.name"] == adopted.name
    assert event["payload"] == {
        "provisioning_id": adopted.id,
        "reference": adopted.reference,
        "kind": "video",
        "avatar_id": first["id"],
        "voice_id": None,
        "duplicate_avatar_id": second["id"],
    }


@pytest.mark.parametrize("text", HOSTILE_PARAMETERS)
def test_each_text_of_an_event_is_one_bounded_line(text: str) -> None:
    reason = Reason(code="c", message=text, hint=text)
    content = event_content(
        provisioning(name=text, reference=text, avatar_id=text, voice_id=text), {"reasons": [reason.model_dump()]}
    )
    shown = short_line(redact(text), MAX_EVENT_CHARACTERS)
    assert content["resource"] == {
        "prefect.resource.id": "avatars.provisioning.p-1",
        "prefect.resource.name": shown,
    }
    assert content["payload"] == {
        "provisioning_id": "p-1",
        "reference": shown,
        "kind": "video",
        "avatar_id": shown,
        "voice_id": shown,
        "reasons": [{"code": "c", "message": shown, "hint": shown}],
    }
    assert len(shown.splitlines()) == 1


@pytest.mark.prefect
async def test_event_of_a_voice_found_later_reaches_the_server(
    prefect_api_url: str, harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    training, _ = await await_training.fn(await harness.submitted(), harness.owner, None)
    ready = await record_outcome.fn(training, Status.READY, harness.owner)
    assert ready.avatar_id is not None
    assert await announce_voices(await find_voices.fn(harness.owner)) == 1
    [event] = await events_about(prefect_api_url, ready.id)
    voice_id = argil.account.delivered_voice_id(ready.avatar_id)
    assert event["event"] == "avatar.voice"
    assert event["payload"] == {
        "provisioning_id": ready.id,
        "reference": ready.reference,
        "kind": "video",
        "avatar_id": ready.avatar_id,
        "voice_id": voice_id,
        "voice_source": "matched",
    }
    key = ArtifactFilterKey(any_=[avatar_key(ready.name, ready.id)])
    async with get_client() as client:
        [artifact] = await client.read_artifacts(artifact_filter=ArtifactFilter(key=key))
    assert f"{voice_id}" in str(artifact.data)
    assert await announce_voices(await find_voices.fn(harness.owner)) == 0  # it is announced once


def test_event_without_an_avatar_has_null() -> None:
    assert event_content(provisioning(), {})["payload"]["avatar_id"] is None
