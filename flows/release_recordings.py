"""The flow `release-recordings`: a person releases the recordings of a refused avatar from quarantine."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.engine.final_state import final_state_for_error
from flows.engine.run_context import lease_owner_for_run, name_run_after, run_name_for
from models.errors import AvatarsError
from models.text.escaping import state_message
from models.text.plural import counted
from models.text.redaction import redact
from services.context import app_context
from services.prefect_api.prefect_options import FLOW_OPTIONS
from tasks.publish_artifact import publish_artifact
from tasks.release_recordings import release_recordings as release


@flow(name="release-recordings", flow_run_name=run_name_for("release"), **FLOW_OPTIONS)
async def release_recordings(provisioning_id: str, reason: str) -> State:
    """Release the recordings of a refused avatar from quarantine. Nothing is submitted.

    Args:
        provisioning_id: Id or reference of the refused provisioning.
        reason: Who decided and why; stored in the ledger.

    """
    try:
        async with app_context():
            owner = lease_owner_for_run("release-recordings")
            provisioning, released = await release(provisioning_id, reason, owner)
            await name_run_after(provisioning, "release")
            await publish_artifact(provisioning.id)
    except AvatarsError as error:
        return final_state_for_error(error)
    return Completed(message=state_message(f"{counted(released, 'recording')} released: {redact(reason)}"))
