"""The flow `resume-provisioning`: one provisioning by id, from wherever it stands."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.drive import Wait, drive
from flows.final_state import state_of, state_of_error
from flows.run_facts import driver
from models.errors import AvatarsError
from tasks.find_provisioning import find_provisioning, reopen_provisioning
from tasks.options import FLOW
from tasks.runtime import runtime


@flow(name="resume-provisioning", flow_run_name="resume {provisioning_id}", **FLOW)
async def resume_provisioning(provisioning_id: str, wait: Wait = "hold") -> State:
    """Drive the provisioning with this id or reference on; one that timed out or was cancelled is re-opened."""
    me = driver("resume-provisioning")
    try:
        async with runtime():
            found = await find_provisioning(provisioning_id)
            return state_of(await drive(await reopen_provisioning(found, me), me, wait))
    except AvatarsError as error:
        return state_of_error(error)
