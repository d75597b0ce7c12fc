"""Shows an outcome in the Prefect UI, as an artifact, and announces it to automations, as an event."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.events import emit_event

from models.outcomes import OUTCOMES
from models.provisioning import Provisioning
from models.report import avatar_report
from tasks.options import TASK
from tasks.runtime import runtime


@task(**TASK)
async def publish_artifact(provisioning_id: str) -> None:
    """Publish the artifact `avatar-<provisioning id>`; a newer one takes the older one's place.

    Raises UnknownProvisioning and DatabaseError.
    """
    async with runtime() as active:
        provisioning = await active.ledger.get(provisioning_id)
        events = await active.ledger.events(provisioning_id)
    await acreate_markdown_artifact(
        key=f"avatar-{provisioning_id}",
        markdown=avatar_report(provisioning, events),
        description=f"{provisioning.name}: {provisioning.status}",
    )


def announce(provisioning: Provisioning) -> None:
    """Emit the outcome's event, where it has one, for automations."""
    outcome = OUTCOMES[provisioning.status]
    if outcome.event is None:
        return
    emit_event(
        event=outcome.event,
        resource={
            "prefect.resource.id": f"avatars.provisioning.{provisioning.id}",
            "prefect.resource.name": provisioning.name,
        },
        payload={
            "provisioning_id": provisioning.id,
            "reference": provisioning.reference,
            "avatar_id": provisioning.avatar_id,
            "reasons": [reason.model_dump() for reason in provisioning.reasons],
        },
    )
