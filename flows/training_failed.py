"""The branch for avatars that failed to train."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.manner import ALONE, InOneTask
from flows.run_facts import driver
from models.errors import LedgerConflict
from models.provisioning import Status
from tasks.narrate import narrate
from tasks.options import FLOW
from tasks.publish_outcome import announce, publish_artifact
from tasks.record_training_failure import record_training_failure


@flow(name="training-failed", **FLOW)
async def training_failed(provisioning_ids: list[str]) -> State:
    """Applies the retrain policy to failed trainings; records and announces those that are failed for good.

    Acts only where the ledger says that Argil said so: running it again does nothing twice.
    """
    me = driver("training-failed")
    # A subflow serves many in a batch; there, a task run for each of them would be too much for Prefect.
    step = (ALONE if len(provisioning_ids) == 1 else InOneTask()).step
    settled = 0
    for provisioning_id in provisioning_ids:
        try:
            provisioning = await step(record_training_failure)(provisioning_id, me)
        except LedgerConflict as error:
            narrate("left to who drives it now: %s", error.message)
            continue
        if provisioning.status is Status.TRAINING_FAILED:
            settled += 1
            await step(publish_artifact)(provisioning_id)
            announce(provisioning)
    return Completed(message=f"{settled} of {len(provisioning_ids)} recorded as TRAINING_FAILED")
