"""What a run does while Argil trains: hold, suspend itself, or end."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NoReturn

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.runtime import deployment, flow_run
from prefect.states import Suspended
from prefect.utilities.engine import propose_state

from models.provisioning import Driver, Provisioning
from models.settings import Settings
from tasks.runtime import runtime

Wait = Literal["suspend", "hold", "none"]
"""suspend: sleep without a process. hold: stay and watch. none: end after the create."""


def may_suspend() -> bool:
    """Whether this run could be started again: Prefect resumes only what a deployment started."""
    return deployment.id is not None


def patience_seconds(wait: str) -> float | None:
    """Return how long this run watches before it leaves the training alone; None is for good."""
    if wait == "none":
        return 0.0
    if wait == "suspend" and may_suspend():
        return Settings.load().avatars_hold_seconds
    return None


async def was_woken() -> bool:
    """Whether this run has slept before: then it begins anew only to tell what came of it."""
    async with runtime() as active:
        return await active.sleepers.has(str(flow_run.id))


async def suspend(provisioning: Provisioning, driver: Driver) -> NoReturn:
    """Put this run to sleep without a process; resumed, it starts from the top and attaches to the provisioning.

    As `prefect.flow_runs.suspend_flow_run` does, with a message that tells a person what it waits for.
    """
    since = provisioning.training_since or provisioning.updated_at
    until = since + timedelta(seconds=Settings.load().avatars_training_timeout_seconds)
    message = (
        f"avatar {provisioning.avatar_id} trains at Argil since {_shown(since)}; this run needs no process "
        f"meanwhile and is resumed when the training ends, at the latest at {_shown(until)} "
        f"(provisioning {provisioning.id})"
    )
    # A key of its own each time: a run that was resumed too early may sleep again.
    state: State = Suspended(message=message, pause_key=driver.id)
    async with runtime() as active:
        await active.sleepers.add(str(flow_run.id), provisioning.id)
    async with get_client() as client:
        accepted = await propose_state(client, state, flow_run_id=flow_run.id)
    raise Pause(state=accepted)


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
