"""The voice of an image request is looked up before anything is sent."""

from __future__ import annotations

import pytest
from starlette.responses import Response

from models.errors import OperationalError
from models.image_request import ImageRequest
from models.provisioning import Provisioning, Status
from simulator.server import ArgilSimulator
from tasks.check_voice import VOICE_NOT_FOUND, check_voice
from tasks.record_checks import record_checks
from tests.provisioning_harness import ProvisioningHarness, SimulatorGateway

VOICE = "3f2b8c1e-5d47-4a90-9b6e-0c1d2e3f4a5b"


async def accepted_with(harness: ProvisioningHarness, image_request: ImageRequest, voice_id: str) -> Provisioning:
    request = image_request.model_copy(update={"voice_id": voice_id})
    opened, _ = await harness.context.ledger.get_or_create(request, "ada-1", harness.owner)
    return await harness.context.leases.acquire(opened.id, harness.owner, harness.context.lease_duration)


async def test_unknown_voice_rejects_the_request(
    harness: ProvisioningHarness, image_request: ImageRequest, argil: ArgilSimulator
) -> None:
    accepted = await accepted_with(harness, image_request, VOICE)
    problem = await check_voice.fn(accepted)
    assert problem is not None
    rejected = await record_checks.fn(accepted, [], harness.owner, problem)
    assert (rejected.status, [reason.code for reason in rejected.reasons]) == (Status.REJECTED, [VOICE_NOT_FOUND])
    assert VOICE in rejected.reasons[0].message
    assert argil.account.posts == []


async def test_known_voice_is_sent(
    harness: ProvisioningHarness, image_request: ImageRequest, argil: ArgilSimulator
) -> None:
    voice = argil.account.voices.add_clone(
        {"name": "Ada", "audioUrl": "https://videos.example/a.wav"}, argil.account.now(), creates=True, status=201
    )
    assert voice is not None
    accepted = await accepted_with(harness, image_request, voice["id"])
    assert await check_voice.fn(accepted) is None
    assert (await harness.submitted_from(accepted)).status is Status.TRAINING
    assert argil.account.posts[0]["voiceId"] == voice["id"]


async def test_unreadable_voice_is_an_operational_error(
    harness: ProvisioningHarness, image_request: ImageRequest, gateway: SimulatorGateway
) -> None:
    accepted = await accepted_with(harness, image_request, VOICE)
    gateway.canned_responses["GET", f"/v1/voices/{VOICE}"] = [Response(status_code=500)]
    with pytest.raises(OperationalError, match="could not be checked"):
        await check_voice.fn(accepted)


async def test_request_without_a_voice_asks_argil_nothing(
    harness: ProvisioningHarness, image_request: ImageRequest, argil: ArgilSimulator
) -> None:
    opened, _ = await harness.context.ledger.get_or_create(image_request, "ada-1", harness.owner)
    assert await check_voice.fn(opened) is None
    assert argil.account.count("GET /voices/{id}") == 0
