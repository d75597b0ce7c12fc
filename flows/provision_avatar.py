"""The flow `provision-avatar`: one request, all the way to a recorded outcome."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run

from flows.drive import drive
from flows.final_state import state_of, state_of_error
from flows.run_facts import driver
from flows.waiting import Wait, patience_seconds, suspend
from models.errors import AvatarsError
from models.provisioning import Status
from models.request import ProvisioningRequest
from tasks.open_provisioning import open_provisioning
from tasks.options import FLOW
from tasks.runtime import runtime


@flow(name="provision-avatar", flow_run_name="{request.name}", **FLOW)
async def provision_avatar(request: ProvisioningRequest, wait: Wait = "suspend") -> State:
    """Turn two recordings into one avatar.

    Without a reference the run's id serves, so that a resumed or retried run attaches to its own provisioning.
    Ends in a state named after the outcome; the ledger holds the rest.

    Args:
        request: The avatar's name, its two recordings, and what else is to be kept with it.
        wait: suspend: the run sleeps without a process and is resumed when the training ends. hold: its process
            stays and watches. none: it ends after the create, and reconcile sees the avatar through.

    """
    me = driver("provision-avatar")
    try:
        async with runtime():
            found = await open_provisioning(request, request.reference or str(flow_run.id), me)
            driven = await drive(found, me, patience_seconds(wait))
        if driven.status is Status.TRAINING and wait == "suspend":
            await suspend(driven, me)
    except AvatarsError as error:
        return state_of_error(error)
    return state_of(driven)
