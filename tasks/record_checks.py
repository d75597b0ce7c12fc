"""Records what the checks of both recordings found, and whether the provisioning may go on."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from prefect import task

from models.errors import MediaUnreachable
from models.provisioning import Driver, Provisioning, Status
from models.reason import Reason
from tasks.check_recording import RecordingCheck
from tasks.narrate import narrate
from tasks.options import TASK
from tasks.runtime import runtime

QUARANTINED = ".quarantined"


def binding(checks: Sequence[RecordingCheck], level: str) -> list[Reason]:
    """Return the reasons that stop a request at a level of AVATARS_MEDIA_CHECK; the quarantine's always do."""
    reasons = [reason for check in checks for reason in check.reasons]
    return reasons if level == "strict" else [one for one in reasons if one.code.endswith(QUARANTINED)]


@task(**TASK)
async def record_checks(
    provisioning: Provisioning, checks: Sequence[RecordingCheck], driver: Driver
) -> Provisioning:
    """Return the provisioning REJECTED with every reason, or still ACCEPTED with the facts noted.

    Warnings, and with AVATARS_MEDIA_CHECK=warn broken media rules, are noted only; the quarantine holds all the
    same. Raises MediaUnreachable where no rule is known to be broken and a host gave no usable answer,
    StaleVersion, DatabaseError.
    """
    reasons = [reason for check in checks for reason in check.reasons]
    warnings = [warning for check in checks for warning in check.warnings]
    unreachable = [check.unreachable for check in checks if check.unreachable is not None]
    media = {check.role.value: check.facts for check in checks}
    async with runtime() as active:
        level = active.settings.avatars_media_check
        if stopping := binding(checks, level):
            every = [*stopping, *unreachable]
            why = _listed("its inputs break rules", every)
            return await active.ledger.record(
                provisioning, driver, why, to=Status.REJECTED, reasons=every, media=media
            )
        if unreachable and level == "strict":
            raise MediaUnreachable("; ".join(r.message for r in unreachable), hint=unreachable[0].hint)
        why = "both recordings were checked" if level != "off" else "the media check is off"
        if found := [*reasons, *unreachable]:
            why = _listed("found, and not enforced (AVATARS_MEDIA_CHECK=warn)", found)
        if warnings:
            why = f"{why}; {_listed('to be seen to', warnings)}"
        if found or warnings:
            narrate("%s", why, level=logging.WARNING)
        return await active.ledger.record(provisioning, driver, why, reasons=[], media=media)


def _listed(opening: str, reasons: Sequence[Reason]) -> str:
    return f"{opening}: " + "; ".join(f"{reason.code}: {reason.message}" for reason in reasons)
