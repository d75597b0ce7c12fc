"""The flow `provision-avatar`: one request, all the way to a recorded outcome."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows.drive import Wait, drive
from flows.final_state import state_of, state_of_error
from flows.run_facts import driver
from models.errors import AvatarsError
from models.request import ProvisioningRequest
from tasks.open_provisioning import open_provisioning
from tasks.options import FLOW
from tasks.runtime import runtime


@flow(name="provision-avatar", flow_run_name="{request.name}", **FLOW)
async def provision_avatar(request: ProvisioningRequest, wait: Wait = "hold") -> State:
    """Turn two recordings into one avatar.

    Without a reference the run's id serves, so that a retried run attaches to its own provisioning. Ends in a
    state named after the outcome; the ledger holds the rest.
    """
    me = driver("provision-avatar")
    try:
        async with runtime():
            found = await open_provisioning(request, request.reference or str(flow_run.id), me)
            return state_of(await drive(found, me, wait))
    except AvatarsError as error:
        return state_of_error(error)
