"""The task that checks one recording of a request: first its source and the quarantine, then the media rules."""

from __future__ import annotations

from prefect import task

from models.errors import MediaUnreachable, NetworkUnavailable
from models.media.rules import MediaRole
from models.provisioning import Provisioning
from models.reason import Reason
from models.recordings.addresses import source_problem
from models.recordings.identity import RecordingIdentity
from services.context import AppContext, app_context
from services.prefect_api.prefect_options import TASK_OPTIONS
from services.recordings.recording_checks import (
    RecordingCheckResult,
    local_reports,
    quarantine_reason,
    source_reason,
)
from store.quarantine import recording_identities


@task(task_run_name="check-{role.slug}", **TASK_OPTIONS)
async def check_recording(provisioning: Provisioning, role: MediaRole) -> RecordingCheckResult:
    """Check one recording of a provisioning.

    AVATARS_SOURCES and the quarantine are always checked. The recording is read unless AVATARS_MEDIA_CHECK is off.

    Raises:
        DatabaseError: The quarantine cannot be read.

    """
    async with app_context() as context:
        address = provisioning.request.recordings[role]
        local_report = local_reports.get().get((address, role))
        if local_report is None and (problem := source_problem(address, context.settings.sources)):
            return RecordingCheckResult(role=role, reasons=[source_reason(role, address, problem)])
        by_url = recording_identities(provisioning)[role]
        quarantine_reasons = await _quarantine_reasons(context, role, by_url)
        if quarantine_reasons or context.settings.avatars_media_check == "off":
            return RecordingCheckResult(role=role, reasons=quarantine_reasons)
        try:
            report = local_report or await context.recording_checker.check(address, role)
        except (MediaUnreachable, NetworkUnavailable) as error:
            return RecordingCheckResult(role=role, unreachable=Reason.from_error(error))
        facts = report.facts
        if facts is None:
            return RecordingCheckResult(role=role, reasons=report.reasons)
        facts_json = facts.model_dump(mode="json")
        by_content = RecordingIdentity.from_facts(address, facts_json)
        reasons = [*await _quarantine_reasons(context, role, by_content), *report.reasons]
        return RecordingCheckResult(role=role, reasons=reasons, warnings=report.warnings, facts=facts_json)


async def _quarantine_reasons(context: AppContext, role: MediaRole, recording: RecordingIdentity) -> list[Reason]:
    provisioning_id = await context.quarantine.find_provisioning_for(recording)
    return [] if provisioning_id is None else [quarantine_reason(role, provisioning_id)]
