"""Decides whether a run blocks, suspends itself or ends while Argil trains, and suspends it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NoReturn
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import Abort, Pause
from prefect.runtime import deployment, flow_run
from prefect.states import Suspended
from prefect.utilities.engine import propose_state

from models.provisioning import LeaseOwner, Provisioning
from models.settings import Settings
from models.text.escaping import state_message
from services.context import app_context
from services.runs.superseded_runs import leave_report_to_later_attempt

_LATE_REPORTS = (StateType.CRASHED, StateType.FAILED)
WaitMode = Literal["suspend", "block", "none"]
"""suspend: suspend the run, without a process. block: keep polling. none: end after the submission."""


def can_suspend() -> bool:
    """Return whether Prefect can resume this run: it resumes only runs of a deployment."""
    return deployment.id is not None


def watch_timeout(wait: str) -> float | None:
    """Return how many seconds this run watches the training; None watches until the training deadline."""
    if wait == "none":
        return 0.0
    if wait == "suspend" and can_suspend():
        return Settings.load().avatars_watch_before_suspend_seconds
    return None


async def was_resumed() -> bool:
    """Return whether this run was suspended before.

    Prefect runs a resumed flow from the top again; its remaining work is to report the outcome.
    """
    async with app_context() as context:
        return await context.suspended_runs.exists(str(flow_run.id))


async def suspend(provisioning: Provisioning, owner: LeaseOwner) -> NoReturn:
    """Suspend this run; when resumed, it starts from the top and attaches to the provisioning.

    Works like `prefect.flow_runs.suspend_flow_run`, but sets a state message that says what the run waits for.

    Raises:
        Pause: Always, unless there is a later attempt; the Prefect engine handles it.
        Abort: Another attempt of the run advances the provisioning, or Prefect forbids to suspend the run.

    """
    await leave_report_to_later_attempt(owner)
    since = provisioning.training_started_at or provisioning.updated_at
    until = since + timedelta(seconds=Settings.load().avatars_training_timeout_seconds)
    message = (
        f"avatar {provisioning.avatar_id} has been training at Argil since {_format_utc(since)}; this run needs no "
        f"process until it is resumed when the training ends, at {_format_utc(until)} at the latest "
        f"(provisioning {provisioning.id})"
    )
    # The key is unique per attempt, so that a run that was resumed too early can suspend itself again.
    state: State = Suspended(message=state_message(message), pause_key=owner.id)
    async with app_context() as context:
        await context.suspended_runs.add(str(flow_run.id), provisioning.id)
    async with get_client() as client:
        try:
            accepted = await propose_state(client, state, flow_run_id=flow_run.id)
        except Abort:
            if not await _was_reported_late(client):
                raise
            await client.set_flow_run_state(UUID(flow_run.id), state, force=True)
            accepted = state
    raise Pause(state=accepted)


async def _was_reported_late(client: PrefectClient) -> bool:
    """Return whether an old process of this run reported its end, although this process advances the provisioning.

    A run that a person cancelled has ended.
    """
    return (await client.read_flow_run(UUID(flow_run.id))).state_type in _LATE_REPORTS


def _format_utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
