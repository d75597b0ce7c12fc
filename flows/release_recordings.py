"""The flow `release-recordings`: a person's decision to let the videos of a refused avatar in again."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.final_state import state_of_error
from models.errors import AvatarsError
from tasks.options import FLOW
from tasks.release_recordings import release_recordings as release
from tasks.runtime import runtime


@flow(name="release-recordings", flow_run_name="release {provisioning_id}", **FLOW)
async def release_recordings(provisioning_id: str, why: str) -> State:
    """Let both videos of a refused avatar in again; nothing is submitted.

    Args:
        provisioning_id: Id or reference of the refused one.
        why: Who decided, and on what grounds; it is recorded.

    """
    try:
        async with runtime():
            released = await release(provisioning_id, why)
    except AvatarsError as error:
        return state_of_error(error)
    return Completed(message=f"{released} videos released: {why}")
