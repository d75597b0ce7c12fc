"""The task that records the checks of all recordings and decides whether the provisioning continues."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from prefect import task

from models.provisioning import LeaseOwner, Provisioning, Status
from models.reason import Reason
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS
from services.recordings.recording_checks import RecordingCheckResult, blocking_reasons, inconclusive_error
from services.run_log import log_about_one


@task(**TASK_OPTIONS)
async def record_checks(
    provisioning: Provisioning,
    checks: Sequence[RecordingCheckResult],
    owner: LeaseOwner,
    voice_problem: Reason | None = None,
) -> Provisioning:
    """Return the provisioning REJECTED with every reason, or still ACCEPTED with the media facts recorded.

    Warnings never reject. With AVATARS_MEDIA_CHECK=warn, violated media rules do not either; a quarantine and a
    voice that Argil does not have always do.

    Raises:
        MediaUnreachable: No rule is known to be violated and a host did not respond.
        NetworkUnavailable: No rule is known to be violated and this machine resolves no host names.
        StaleVersion: Another owner changed the provisioning since it was read.
        DatabaseError: The ledger cannot be written.

    """
    reasons = [reason for check in checks for reason in check.reasons]
    warnings = [warning for check in checks for warning in check.warnings]
    unreachable = [check.unreachable for check in checks if check.unreachable is not None]
    media_facts = {check.role.value: check.facts for check in checks}
    async with app_context() as context:
        level = context.settings.avatars_media_check
        unusable_voice = [] if voice_problem is None else [voice_problem]
        if blocking := [*blocking_reasons(checks, level), *unusable_voice]:
            all_reasons = [*blocking, *unreachable]
            message = _join_reasons("the inputs violate rules", all_reasons)
            return await context.ledger.transition(
                provisioning,
                owner,
                message,
                new_status=Status.REJECTED,
                reasons=all_reasons,
                media_facts=media_facts,
            )
        if level == "strict" and (error := inconclusive_error(checks)):
            raise error
        message = "all recordings were checked" if level != "off" else "the media check is off"
        if not_enforced := [*reasons, *unreachable]:
            message = _join_reasons("violations that are not enforced (AVATARS_MEDIA_CHECK=warn)", not_enforced)
        if warnings:
            message = f"{message}; {_join_reasons('warnings', warnings)}"
        if not_enforced or warnings:
            log_about_one("%s", message, level=logging.WARNING)
        return await context.ledger.transition(provisioning, owner, message, reasons=[], media_facts=media_facts)


def _join_reasons(opening: str, reasons: Sequence[Reason]) -> str:
    return f"{opening}: " + "; ".join(f"{reason.code}: {reason.message}" for reason in reasons)
