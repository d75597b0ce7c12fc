"""Ready-made Prefect automations: they tell people what needs them, and mark runs whose process is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events import AutomationCore, ChangeFlowRunState, EventTrigger, Posture, SendNotification
from prefect.events import ResourceSpecification as Labels
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings

from deployments.catalog import CATALOG
from deployments.notices import NOTICES, Notice
from flows.provision_avatar import provision_avatar
from flows.refused import refused
from flows.resume_provisioning import resume_provisioning
from flows.training_failed import training_failed
from models.errors import InvalidRequest, PrefectError
from tasks.publish_outcome import RESOURCE

PREFIX = "avatars: "
"""Begins each name. An automation is found again by its name, so that applying twice changes nothing."""
DEAD_RUNS = f"{PREFIX}mark dead runs"
MISSED_HEARTBEATS = 3
PREFECT_HEARTBEAT_SECONDS = 180
OURS = {"description", "trigger", "actions"}
"""What is compared and set; a person may pause an automation, or tag it."""
SLEEPERS = {provision_avatar.name, resume_provisioning.name}
"""Flows whose runs may suspend themselves."""

Result = Literal["created", "updated", "unchanged", "left out"]


@dataclass(frozen=True)
class Applied:
    """What became of one automation; `left out`: it needs a block, and none was given."""

    name: str
    result: Result


def _notify(notice: Notice, block_id: UUID | None) -> AutomationCore:
    """Return the automation that sends a notice; without a block it has no action yet."""
    action = block_id and SendNotification(block_document_id=block_id, subject=notice.subject, body=notice.body)
    return AutomationCore(
        name=f"{PREFIX}notify when {notice.when}",
        description=f"Tells of each event {notice.event}; made by `avatars automations apply`.",
        enabled=True,
        trigger=EventTrigger(
            expect={notice.event},
            match=Labels({"prefect.resource.id": f"{RESOURCE}.*"}),
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[action] if action else [],
    )


def _mark_dead_runs() -> AutomationCore:
    """Return the automation that marks a run Crashed once its heartbeats stay away.

    Only runs that never suspend. A heartbeat may come a moment after the run has ended or gone to sleep; then the
    next one is missed. Prefect refuses to mark an ended run, but it would mark a sleeping one. Those that may sleep
    are left to reconcile, which knows the dead by their leases.
    """
    names = {refused.name, training_failed.name} | {entry.flow.name for entry in CATALOG} - SLEEPERS
    beat = get_current_settings().flows.heartbeat_frequency or PREFECT_HEARTBEAT_SECONDS
    silence = timedelta(seconds=MISSED_HEARTBEATS * beat)
    return AutomationCore(
        name=DEAD_RUNS,
        description="Marks a run Crashed once its heartbeats stay away; made by `avatars automations apply`.",
        enabled=True,
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            # Any of its states: these events bear the states' names, and ours have names of their own.
            expect={"prefect.flow-run.*"},
            match=Labels({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=Labels({"prefect.resource.role": "flow", "prefect.resource.name": sorted(names)}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=silence,
        ),
        actions=[
            ChangeFlowRunState(state=StateType.CRASHED, message=f"no heartbeat for {silence}: its process is gone")
        ],
    )


def automations(block_id: UUID | None) -> Sequence[AutomationCore]:
    """Return every automation; without a block those that need one have no actions."""
    return [*(_notify(notice, block_id) for notice in NOTICES), _mark_dead_runs()]


async def apply(block: str | None) -> list[Applied]:
    """Create each automation, or update it in place where it differs; notices go through the block.

    `block` is TYPE-SLUG/NAME. Without one, what needs it is left out: where it is there already, it stays as it is.
    Raises InvalidRequest where this can be no block's name, and PrefectError where there is no such block.
    """
    async with get_client() as client:
        block_id = await _block_id(client, block) if block is not None else None
        return [Applied(wanted.name, await _apply(client, wanted)) for wanted in automations(block_id)]


async def _block_id(client: PrefectClient, block: str) -> UUID:
    slug, _, name = block.partition("/")
    if not slug or not name:
        problem = f"must be TYPE-SLUG/NAME, as slack-webhook/ops; it is {block!r}"
        raise InvalidRequest([("notify", problem)], hint="`prefect block ls` lists all blocks")
    try:
        found = await client.read_block_document_by_name(name, slug, include_secrets=False)
    except ObjectNotFound:
        raise PrefectError(f"there is no block {block!r}", hint="`prefect block ls` lists all blocks") from None
    if found.block_schema is None or "notify" not in found.block_schema.capabilities:
        raise PrefectError(
            f"the block {block!r} cannot notify",
            hint="`prefect block ls` lists all blocks; see docs/automations.md",
        )
    return found.id


async def _apply(client: PrefectClient, wanted: AutomationCore) -> Result:
    if not wanted.actions:
        return "left out"
    there = await client.read_automations_by_name(wanted.name)
    if not there:
        await client.create_automation(wanted)
        return "created"
    if there[0].model_dump(include=OURS) == wanted.model_dump(include=OURS):
        return "unchanged"
    wanted.enabled = there[0].enabled
    await client.update_automation(there[0].id, wanted)
    return "updated"
