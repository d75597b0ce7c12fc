"""Predicts the result of a batch row without recording or sending anything."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from models.batch import CHECK_INCONCLUSIVE, INVALID, WOULD_CREATE, WOULD_REJECT, WOULD_RESUME, RowResult
from models.errors import (
    NetworkUnavailable,
    OperationalError,
    ReferenceIsId,
    UnknownProvisioning,
)
from models.manifest.shared_recordings import ContentIndex
from models.provisioning import Provisioning, Status, SubmissionState
from models.reason import Reason
from models.reopening import RETRYABLE_STATUSES, RequestAction, decide_request, reference_conflict
from models.request import AvatarRequest
from services.context import AppContext
from services.recordings.recording_checks import blocking_reasons, inconclusive_error
from tasks.check_recording import check_recording
from tasks.check_voice import check_voice


async def preview_row(
    context: AppContext, row: RowResult, request: AvatarRequest, contents: ContentIndex
) -> RowResult:
    """Return the row with the status that a run would give it now.

    Reads the ledger first; a request that is not submitted yet gets a full media check.

    Args:
        context: What the checks need.
        row: The row so far.
        request: Its request.
        contents: The recordings of the rows that were checked before.

    Raises:
        DatabaseError: The ledger cannot be read.
        NetworkUnavailable: This machine resolves no host names.

    """
    try:
        provisioning = await context.ledger.get(row.reference)
    except UnknownProvisioning:
        pass
    else:
        submissions = await context.ledger.list_submissions(provisioning.id)
        states = {submission.state for submission in submissions}
        if (recorded := _preview_recorded(provisioning, states, row, request)) is not None:
            return recorded
    unsaved = _unsaved_provisioning(request, row.reference, context)
    checks = await asyncio.gather(*(check_recording.fn(unsaved, role) for role in request.recordings))
    level = context.settings.avatars_media_check
    copies = contents.find_copies(row.line, request, {check.role: check.facts for check in checks})
    row = row.with_warnings([*(warning for check in checks for warning in check.warnings), *copies])
    try:
        voice_problem = await check_voice.fn(unsaved)
    except OperationalError as unreachable:
        return row.with_status(CHECK_INCONCLUSIVE, [Reason.from_error(unreachable)])
    unusable_voice = [] if voice_problem is None else [voice_problem]
    if rejections := [*blocking_reasons(checks, level), *unusable_voice]:
        return row.with_status(WOULD_REJECT, rejections)
    if level == "strict" and (error := inconclusive_error(checks)):
        if isinstance(error, NetworkUnavailable):
            raise error
        return row.with_status(CHECK_INCONCLUSIVE, [check.unreachable for check in checks if check.unreachable])
    return row.with_status(WOULD_CREATE, [reason for check in checks for reason in check.reasons])


def _preview_recorded(
    provisioning: Provisioning, states: Collection[SubmissionState], row: RowResult, request: AvatarRequest
) -> RowResult | None:
    """Return the row if a run would attach to this provisioning or fail, None if it would check the request."""
    if provisioning.reference != row.reference:
        return row.with_status(INVALID, [Reason.from_error(ReferenceIsId(row.reference, provisioning.id))])
    action = decide_request(
        provisioning.status,
        provisioning.avatar_id,
        states,
        is_same_request=provisioning.request_fingerprint in request.fingerprints,
        has_called=False,
        is_erased=provisioning.erased_at is not None,
    )
    if action is RequestAction.CONFLICT:
        return row.with_status(INVALID, [Reason.from_error(reference_conflict(provisioning))])
    is_erased = provisioning.erased_at is not None
    if action is RequestAction.REPLACE or (provisioning.status in RETRYABLE_STATUSES and not is_erased):
        return None
    if provisioning.status.is_terminal and (provisioning.status is not Status.TIMED_OUT or is_erased):
        return row.with_provisioning(provisioning)
    if provisioning.status is not Status.ACCEPTED:
        return row.with_provisioning(provisioning).with_status(WOULD_RESUME, provisioning.reasons)
    return None


def _unsaved_provisioning(request: AvatarRequest, reference: str, context: AppContext) -> Provisioning:
    """Return the provisioning that this request would create; it is not written to the ledger."""
    now = context.clock.now()
    return Provisioning(
        id="",
        version=0,
        reference=reference,
        request=request,
        request_fingerprint=request.fingerprint,
        status=Status.ACCEPTED,
        avatar_id=None,
        raw_status=None,
        reasons=[],
        retrain_count=0,
        submission_count=0,
        training_started_at=None,
        created_at=now,
        updated_at=now,
        flow_run_id=None,
        avatar_snapshot=None,
        media_facts=None,
        lease_owner=None,
    )
