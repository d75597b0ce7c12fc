"""Checks one recording of a request: the quarantine, then the media rules."""

from __future__ import annotations

from typing import Any

from prefect import task
from pydantic import BaseModel

from models.errors import MediaUnreachable
from models.media import MediaRole
from models.provisioning import Provisioning
from models.reason import Reason
from store.quarantine import Recording, recordings
from tasks.options import TASK
from tasks.runtime import Runtime, runtime


class RecordingCheck(BaseModel):
    """What a check found: why the recording may not be used, and the facts where they could be read.

    `warnings` are rules that it breaks and that do not bind. `unreachable` says why nothing could be learned: no
    rule is broken then, and a later check may do better.
    """

    role: MediaRole
    reasons: list[Reason] = []
    warnings: list[Reason] = []
    facts: dict[str, Any] | None = None
    unreachable: Reason | None = None


async def _quarantined(active: Runtime, role: MediaRole, recording: Recording) -> list[Reason]:
    holder = await active.quarantine.holds(recording)
    if holder is None:
        return []
    return [
        Reason(
            code=f"{role}.quarantined",
            message=f"the {role} video belongs to provisioning {holder}, which Argil's moderation refused",
            hint=f"have a person review it; `avatars release {holder} --why ...` lets both videos in again",
        )
    ]


@task(task_run_name="check-{role}-video", **TASK)
async def check_recording(provisioning: Provisioning, role: MediaRole) -> RecordingCheck:
    """Check one recording of a provisioning.

    The quarantine always holds; the recording itself is read unless AVATARS_MEDIA_CHECK is off. Raises
    DatabaseError.
    """
    async with runtime() as active:
        known = recordings(provisioning)[role]
        kept_out = await _quarantined(active, role, known)
        if kept_out or active.settings.avatars_media_check == "off":
            return RecordingCheck(role=role, reasons=kept_out)
        url = {
            MediaRole.DATASET: provisioning.request.dataset_video,
            MediaRole.CONSENT: provisioning.request.consent_video,
        }[role]
        try:
            report = await active.media.check(url, role)
        except MediaUnreachable as error:
            return RecordingCheck(role=role, unreachable=Reason.of(error))
        facts = report.facts
        if facts is None:
            return RecordingCheck(role=role, reasons=report.reasons)
        content = Recording(known.identity, facts.etag, facts.size_bytes)
        reasons = [*await _quarantined(active, role, content), *report.reasons]
        return RecordingCheck(
            role=role, reasons=reasons, warnings=report.warnings, facts=facts.model_dump(mode="json")
        )
