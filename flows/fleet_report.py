"""The flow `fleet-report`: one artifact with everything in flight and everything that needs a person."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.engine.final_state import final_state_for_error
from models.errors import AvatarsError
from services.context import app_context
from services.prefect_api.prefect_options import FLOW_OPTIONS
from services.runs.housekeeping import keep_house
from tasks.publish_fleet_report import publish_fleet_report
from tasks.skip_overdue_runs import skip_overdue_runs


@flow(name="fleet-report", **FLOW_OPTIONS)
async def fleet_report() -> State:
    """Publish the artifact `avatar-fleet`.

    It shows the counts by status, the provisionings in flight, and those that need a person.
    """
    try:
        async with app_context():
            await keep_house(skip_overdue_runs.fn, "overdue runs were not skipped")
            return Completed(message=await publish_fleet_report())
    except AvatarsError as error:
        return final_state_for_error(error)
