"""Ready-made Prefect automations that send notifications and mark runs without heartbeats as crashed."""

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
from deployments.notifications import NOTIFICATION_TEMPLATES, NotificationTemplate
from flows.provision_avatar import provision_avatar
from flows.provision_image_avatar import provision_image_avatar
from flows.refused import refused
from flows.resume_provisioning import resume_provisioning
from flows.training_failed import training_failed
from models.errors import InvalidRequest, PrefectError
from services.prefect_api.events import RESOURCE_PREFIX

PREFIX = "avatars: "
"""Prefix of every automation name. Automations are matched by name, which makes `apply` idempotent."""
MARK_CRASHED_RUNS = f"{PREFIX}mark crashed runs"
MISSED_HEARTBEATS = 3
PREFECT_HEARTBEAT_SECONDS = 180
"""Used if the heartbeat frequency is not set."""
MANAGED_FIELDS = {"description", "trigger", "actions"}
"""The fields that `apply` compares and updates. Pausing and tagging an automation is left to its users."""
SUSPENDABLE_FLOWS = {provision_avatar.name, provision_image_avatar.name, resume_provisioning.name}
"""Flows whose runs can suspend themselves."""
LIST_BLOCKS_HINT = "run `prefect block ls` to list all blocks"

Result = Literal["created", "updated", "unchanged", "skipped"]


@dataclass(frozen=True)
class AppliedAutomation:
    """The result for one automation. `skipped`: it needs a notification block and none was given."""

    name: str
    result: Result


def _notification_automation(template: NotificationTemplate, block_id: UUID | None) -> AutomationCore:
    """Return the automation that sends one notification; without a block it has no actions."""
    action = block_id and SendNotification(block_document_id=block_id, subject=template.subject, body=template.body)
    return AutomationCore(
        name=f"{PREFIX}notify when {template.title}",
        description=f"Sends a notification for each {template.event}; managed by `avatars automations apply`.",
        enabled=True,
        trigger=EventTrigger(
            expect={template.event},
            match=Labels({"prefect.resource.id": f"{RESOURCE_PREFIX}.*"}),
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[action] if action else [],
    )


def _crashed_run_automation() -> AutomationCore:
    """Return the automation that marks a run as Crashed after MISSED_HEARTBEATS missed heartbeats.

    It excludes the flows whose runs can suspend. A heartbeat can arrive just after a run has finished or suspended,
    and no other follows it. Prefect refuses to change the state of a finished run, but would mark a suspended one.
    Reconcile recovers orphaned runs of those flows by their expired leases.
    """
    names = {refused.name, training_failed.name} | {spec.flow.name for spec in CATALOG} - SUSPENDABLE_FLOWS
    heartbeat_seconds = get_current_settings().flows.heartbeat_frequency or PREFECT_HEARTBEAT_SECONDS
    silence = timedelta(seconds=MISSED_HEARTBEATS * heartbeat_seconds)
    return AutomationCore(
        name=MARK_CRASHED_RUNS,
        description="Marks a run as Crashed after missed heartbeats; managed by `avatars automations apply`.",
        enabled=True,
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            # Any state of the run: the events are named after the states, and our states have custom names.
            expect={"prefect.flow-run.*"},
            match=Labels({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=Labels({"prefect.resource.role": "flow", "prefect.resource.name": sorted(names)}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=silence,
        ),
        actions=[
            ChangeFlowRunState(state=StateType.CRASHED, message=f"no heartbeat for {silence}: its process has died")
        ],
    )


def build_automations(block_id: UUID | None) -> Sequence[AutomationCore]:
    """Return every automation; those that need a block have no actions if there is none."""
    return [
        *(_notification_automation(template, block_id) for template in NOTIFICATION_TEMPLATES),
        _crashed_run_automation(),
    ]


async def apply(block: str | None) -> list[AppliedAutomation]:
    """Create each automation, or update it in place if it differs.

    Args:
        block: TYPE-SLUG/NAME of the block that sends the notifications. Without it the automations that need one
            are skipped; existing ones stay unchanged.

    Raises:
        InvalidRequest: `block` does not have that form.
        PrefectError: The block does not exist or cannot send notifications.
    """
    async with get_client() as client:
        block_id = await _find_block_id(client, block) if block is not None else None
        return [
            AppliedAutomation(automation.name, await _apply(client, automation))
            for automation in build_automations(block_id)
        ]


async def _find_block_id(client: PrefectClient, block: str) -> UUID:
    slug, _, name = block.partition("/")
    if not slug or not name:
        problem = f"must be TYPE-SLUG/NAME, for example slack-webhook/ops; got {block!r}"
        raise InvalidRequest([("notify", problem)], hint=LIST_BLOCKS_HINT)
    try:
        document = await client.read_block_document_by_name(name, slug, include_secrets=False)
    except ObjectNotFound:
        raise PrefectError(f"the block {block!r} does not exist", hint=LIST_BLOCKS_HINT) from None
    if document.block_schema is None or "notify" not in document.block_schema.capabilities:
        raise PrefectError(
            f"the block {block!r} cannot send notifications",
            hint=f"{LIST_BLOCKS_HINT}; see docs/automations.md",
        )
    return document.id


async def _apply(client: PrefectClient, automation: AutomationCore) -> Result:
    if not automation.actions:
        return "skipped"
    existing = await client.read_automations_by_name(automation.name)
    if not existing:
        await client.create_automation(automation)
        return "created"
    if existing[0].model_dump(include=MANAGED_FIELDS) == automation.model_dump(include=MANAGED_FIELDS):
        return "unchanged"
    automation.enabled = existing[0].enabled
    await client.update_automation(existing[0].id, automation)
    return "updated"
