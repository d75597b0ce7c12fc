"""The flow `resume-provisioning`: one provisioning by id, from wherever it stands."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.drive import drive
from flows.final_state import state_of, state_of_error
from flows.run_facts import driver
from flows.waiting import Wait, patience_seconds, suspend, was_woken
from models.errors import AvatarsError
from models.provisioning import Status
from tasks.find_provisioning import find_provisioning, reopen_provisioning
from tasks.options import FLOW
from tasks.runtime import runtime


@flow(name="resume-provisioning", flow_run_name="resume {provisioning_id}", **FLOW)
async def resume_provisioning(provisioning_id: str, wait: Wait = "suspend") -> State:
    """Drive a provisioning on from wherever it stands; one that timed out or was cancelled is re-opened.

    Args:
        provisioning_id: Its id or reference.
        wait: suspend: the run sleeps without a process and is resumed when the training ends. hold: its process
            stays and watches. none: it ends after the create, and reconcile sees the avatar through.

    """
    me = driver("resume-provisioning")
    try:
        async with runtime():
            found = await find_provisioning(provisioning_id)
            if not await was_woken():  # what ended while it slept is to be told, not re-opened
                found = await reopen_provisioning(found, me)
            driven = await drive(found, me, patience_seconds(wait))
        if driven.status is Status.TRAINING and wait == "suspend":
            await suspend(driven, me)
    except AvatarsError as error:
        return state_of_error(error)
    return state_of(driven)
