"""Emits Prefect events about provisionings, which automations react to."""

from __future__ import annotations

from typing import Any

from prefect.events import emit_event
from prefect.settings import PREFECT_API_URL

from models.argil.voice import VOICE_EVENT
from models.outcomes import OUTCOMES, next_step
from models.provisioning import Provisioning
from models.text.escaping import MAX_EVENT_CHARACTERS, short_line
from models.text.redaction import redact

RESOURCE_PREFIX = "avatars.provisioning"
"""The resource of each event is this prefix, a dot and the provisioning's id."""
DUPLICATE_EVENT = "avatar.duplicate"
ARGIL_RESOURCE = "avatars.argil"
"""The resource of events about the account at Argil."""
MAX_EVENT_REASONS = 20
"""Reasons in an event; the ledger has all of them."""


def emit_outcome_event(provisioning: Provisioning) -> None:
    """Emit the event of the provisioning's status, if it has one."""
    if event := OUTCOMES[provisioning.status].event:
        reasons = [reason.model_dump() for reason in provisioning.reasons[:MAX_EVENT_REASONS]]
        _emit(event, provisioning, {"reasons": reasons, "next_step": next_step(provisioning)})


def emit_duplicate_event(provisioning: Provisioning, duplicate_avatar_id: str) -> None:
    """Emit the event for an additional avatar of the provisioning at Argil, which was not adopted."""
    _emit(DUPLICATE_EVENT, provisioning, {"duplicate_avatar_id": duplicate_avatar_id})


def emit_voice_event(provisioning: Provisioning) -> None:
    """Emit the event for a voice that was found later than READY."""
    _emit(VOICE_EVENT, provisioning, {"voice_source": provisioning.voice_source})


def emit_argil_event(event: str, payload: dict[str, Any]) -> None:
    """Emit an event about Argil as a whole."""
    if PREFECT_API_URL.value() is not None:  # otherwise Prefect would start a server to receive the event
        resource = {"prefect.resource.id": ARGIL_RESOURCE, "prefect.resource.name": "Argil"}
        emit_event(event=event, **_shown({"resource": resource, "payload": payload}))


def event_content(provisioning: Provisioning, payload: dict[str, Any]) -> dict[str, Any]:
    """Return resource and payload of an event: every text on one line, bounded and without secrets."""
    content: dict[str, Any] = _shown(
        {
            "resource": {
                "prefect.resource.id": f"{RESOURCE_PREFIX}.{provisioning.id}",
                "prefect.resource.name": provisioning.name,
            },
            "payload": {
                "provisioning_id": provisioning.id,
                "reference": provisioning.reference,
                "kind": provisioning.kind.value,
                "avatar_id": provisioning.avatar_id,
                "voice_id": provisioning.voice_id,
                **payload,
            },
        }
    )
    return content


def _emit(event: str, provisioning: Provisioning, payload: dict[str, Any]) -> None:
    if PREFECT_API_URL.value() is None:
        return  # Prefect would start a server to receive the event
    emit_event(event=event, **event_content(provisioning, payload))


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return short_line(redact(value), MAX_EVENT_CHARACTERS)
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list) else value
