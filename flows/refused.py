"""The branch for avatars that moderation refused."""

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
from tasks.record_refusal import record_refusal


@flow(name="refused", **FLOW)
async def refused(provisioning_ids: list[str]) -> State:
    """Records and announces refused avatars, and quarantines their recordings. Nothing is submitted again.

    Acts only where the ledger says that Argil said so: running it again does nothing twice.
    """
    me = driver("refused")
    # A subflow serves many in a batch; there, a task run for each of them would be too much for Prefect.
    step = (ALONE if len(provisioning_ids) == 1 else InOneTask()).step
    settled = 0
    for provisioning_id in provisioning_ids:
        try:
            provisioning = await step(record_refusal)(provisioning_id, me)
        except LedgerConflict as error:
            narrate("left to who drives it now: %s", error.message)
            continue
        if provisioning.status is Status.REFUSED:
            settled += 1
            await step(publish_artifact)(provisioning_id)
            announce(provisioning)
    return Completed(message=f"{settled} of {len(provisioning_ids)} recorded as REFUSED")
