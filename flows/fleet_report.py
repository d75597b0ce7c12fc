"""The flow `fleet-report`: what is in flight, and what needs a person, as one artifact."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.final_state import state_of_error
from models.errors import AvatarsError
from tasks.options import FLOW
from tasks.publish_fleet import publish_fleet
from tasks.runtime import runtime
from tasks.skip_overdue import skip_overdue


@flow(name="fleet-report", **FLOW)
async def fleet_report() -> State:
    """Publish the artifact `avatar-fleet`: counts by status, what is in flight, what needs a person."""
    try:
        async with runtime():
            await skip_overdue()
            return Completed(message=await publish_fleet())
    except AvatarsError as error:
        return state_of_error(error)
