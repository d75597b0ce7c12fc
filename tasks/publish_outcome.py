"""Shows an outcome in the Prefect UI, as an artifact, and announces what happened to automations, as events."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.artifacts import acreate_markdown_artifact
from prefect.events import emit_event
from prefect.settings import PREFECT_API_URL

from models.outcomes import OUTCOMES
from models.provisioning import Provisioning
from models.redaction import redact_json
from models.report import avatar_report
from tasks.options import TASK
from tasks.runtime import runtime

RESOURCE = "avatars.provisioning"
"""What each event is about: followed by a dot and the provisioning's id."""
DUPLICATE = "avatar.duplicate"


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
    if event := OUTCOMES[provisioning.status].event:
        reasons = [reason.model_dump() for reason in provisioning.reasons]
        _emit(event, provisioning, {"reasons": reasons})


def announce_duplicate(provisioning: Provisioning, duplicate_avatar_id: str) -> None:
    """Emit that Argil holds another avatar of the same provisioning, which was not adopted."""
    _emit(DUPLICATE, provisioning, {"duplicate_avatar_id": duplicate_avatar_id})


def _emit(event: str, provisioning: Provisioning, more: dict[str, Any]) -> None:
    if PREFECT_API_URL.value() is None:
        return  # Prefect would start a whole server to take it in
    emit_event(
        event=event,
        resource={
            "prefect.resource.id": f"{RESOURCE}.{provisioning.id}",
            "prefect.resource.name": provisioning.name,
        },
        payload=redact_json(
            {
                "provisioning_id": provisioning.id,
                "reference": provisioning.reference,
                "avatar_id": provisioning.avatar_id,
                **more,
            }
        ),
    )
