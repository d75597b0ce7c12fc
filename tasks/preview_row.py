"""Tells what would become of a request, without recording or sending anything."""

from __future__ import annotations

import asyncio

from models.batch import INVALID, UNKNOWN, WOULD_CREATE, WOULD_GO_ON, WOULD_REJECT, RowResult
from models.errors import ReferenceConflict, UnknownProvisioning
from models.media import MediaRole
from models.provisioning import Provisioning, Status
from models.reason import Reason
from models.request import ProvisioningRequest
from tasks.check_recording import check_recording
from tasks.record_checks import binding
from tasks.runtime import Runtime


async def preview_row(active: Runtime, row: RowResult, request: ProvisioningRequest) -> RowResult:
    """Return the row as a run would leave it for what is known now: by the ledger, then by a full media check.

    Raises DatabaseError.
    """
    try:
        found = await active.ledger.get(row.reference)
    except UnknownProvisioning:
        found = None
    if found is not None and found.reference == row.reference:
        if found.request.identity != request.identity:
            return row.stopped(INVALID, [Reason.of(ReferenceConflict(row.reference, found.id))])
        if found.status.is_end and found.status is not Status.TIMED_OUT:
            return row.at(found)
        if found.status is not Status.ACCEPTED:
            return row.at(found).stopped(WOULD_GO_ON, found.reasons)
    asked = _asked(request, row.reference, active)
    checks = await asyncio.gather(*(check_recording.fn(asked, role) for role in MediaRole))
    level = active.settings.avatars_media_check
    if stopping := binding(checks, level):
        return row.stopped(WOULD_REJECT, stopping)
    unreachable = [check.unreachable for check in checks if check.unreachable is not None]
    if unreachable and level == "strict":
        return row.stopped(UNKNOWN, unreachable)
    return row.stopped(WOULD_CREATE, [reason for check in checks for reason in check.reasons])


def _asked(request: ProvisioningRequest, reference: str, active: Runtime) -> Provisioning:
    """Return the provisioning that the request would begin as; the ledger holds none of it."""
    now = active.clock.now()
    return Provisioning(
        id="",
        version=0,
        reference=reference,
        request=request,
        status=Status.ACCEPTED,
        avatar_id=None,
        raw_status=None,
        reasons=[],
        retrains=0,
        submissions=0,
        training_since=None,
        created_at=now,
        updated_at=now,
        flow_run_id=None,
        avatar=None,
        media=None,
        lease_owner=None,
    )
