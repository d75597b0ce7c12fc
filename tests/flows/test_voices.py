"""Voices of runs and batches, without Prefect."""

from __future__ import annotations

import pytest

from flows.engine.batch import BatchRun, process_chunk
from flows.engine.execution import InlineExecution
from flows.engine.state_machine import run_to_completion
from flows.engine.voice_announcement import announce_voices
from models.argil.webhook import WebhookDelivery
from models.manifest.validation import ManifestRow
from models.provisioning import Status, VoiceSource
from simulator.server import ArgilSimulator
from tests.provisioning_harness import (  # noqa: F401  # fixtures
    ProvisioningHarness,
    ScriptedClock,
    argil,
    changes,
    clock,
    context,
    harness,
    ledger_file,
    media,
    served_gateway,
    timing,
)


async def deliver(harness: ProvisioningHarness, argil: ArgilSimulator, avatar_id: str | None) -> None:  # noqa: F811
    assert avatar_id is not None
    voice_id = argil.account.delivered_voice_id(avatar_id)
    delivery = WebhookDelivery("AVATAR_TRAINING_SUCCESS", avatar_id, avatar_id, "{}", voice_id)
    await harness.context.deliveries.add(delivery)


async def test_run_records_a_delivered_voice_right_after_ready(
    harness: ProvisioningHarness,  # noqa: F811
    argil: ArgilSimulator,  # noqa: F811
) -> None:
    training = await harness.submitted()
    await deliver(harness, argil, training.avatar_id)
    ready = await run_to_completion(training, harness.owner, None, InlineExecution())
    assert (ready.status, ready.voice_source) == (Status.READY, VoiceSource.WEBHOOK)
    assert argil.account.count("GET /voices") == 0
    again = await run_to_completion(ready, harness.owner, None, InlineExecution())
    assert again == await harness.reload(ready)
    assert argil.account.count("GET /voices/{id}") == 1


# Each row that sleeps moves the clock for all of them, so a row may see more time pass than its training takes.
@pytest.mark.parametrize("changes", [{"avatars_training_timeout_seconds": 1e6}])
async def test_batch_has_the_voices_of_its_rows(
    harness: ProvisioningHarness,  # noqa: F811
    argil: ArgilSimulator,  # noqa: F811
) -> None:
    scenarios = {"Ada": "", "Bob": "voice-none"}
    rows = []
    for line, (name, scenario) in enumerate(scenarios.items(), 1):
        fields = {"name": name, "reference": name, "extras": {"simulator": scenario} if scenario else {}}
        rows.append(ManifestRow(line, name, name, harness.request.model_copy(update=fields)))
    owner = harness.owner.model_copy(update={"batch_id": "batch-1"})
    batch = BatchRun(harness.context, rows, owner, timeout_seconds=None, concurrency=2, dry_run=False)
    await process_chunk.fn(batch, 1, len(rows))
    await batch.find_voices()
    ada, bob = batch.progress.rows
    assert ada.voice_id == argil.account.delivered_voice_id(ada.avatar_id or "")
    assert (bob.status, bob.voice_id) == (Status.READY, None)
    assert batch.progress.counts[Status.READY] == batch.progress.finished == len(rows)
    assert argil.account.count("GET /voices") == 1
    announced = await harness.context.ledger.get("Ada")
    assert (announced.voice_id, announced.voice_due_at) == (ada.voice_id, None)


async def test_voice_is_announced_again_after_a_failure(
    harness: ProvisioningHarness,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    training = await harness.submitted()
    ready = await run_to_completion(training, harness.owner, None, InlineExecution())
    ledger = harness.context.ledger
    due = harness.context.clock.now()
    found = await ledger.record_voice(ready, harness.owner, "v-1", VoiceSource.GIVEN, "given", announce_at=due)

    async def fail(_: str) -> None:
        raise ConnectionError("Prefect does not answer")

    with monkeypatch.context() as patch:
        patch.setattr("tasks.publish_artifact.publish_artifact.fn", fail)
        assert await announce_voices([found]) == 0
    assert [item.id for item in await ledger.list_voice_due(limit=9)] == [found.id]
    assert await announce_voices([found], publishes_artifacts=False) == 1
    assert await ledger.list_voice_due(limit=9) == []
