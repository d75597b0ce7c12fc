"""Re-opens provisionings: `resume` where they stopped, `retry` and a new request after a rejection.

Neither pays twice: `resume` continues with what was submitted, and nothing was sent for a rejected one.
services/retraining.py has the third way, which may cost money; what it refuses is decided here. Each caller
re-opens a provisioning once.
"""

from __future__ import annotations

from collections.abc import Collection

from models.errors import NotReopenable, ProvisioningErased, StaleVersion
from models.outcomes import next_step
from models.provisioning import UNRESOLVED, LeaseOwner, Provisioning, Status
from models.reason import Reason
from models.recordings.addresses import SourcePrefix
from models.recordings.identity import RecordingIdentity
from models.reopening import (
    RESUMABLE_STATUSES,
    RETRYABLE_STATUSES,
    SCHEDULE_RESUMABLE_STATUSES,
    CallerAction,
    retrainable_statuses,
)
from models.request import AvatarRequest, RequestKind, parse_reason
from services.recordings.recording_checks import quarantine_reason, source_reasons
from store.ledger import Ledger
from store.quarantine import QuarantineRepository


async def open_request(
    ledger: Ledger,
    quarantine: QuarantineRepository,
    request: AvatarRequest,
    reference: str,
    owner: LeaseOwner,
    sources: Collection[SourcePrefix],
) -> tuple[Provisioning, bool]:
    """Record a request, or attach to the provisioning of its reference; the same request re-opens a REJECTED one.

    One whose recordings are in quarantine now, or not in a bucket of AVATARS_SOURCES (`sources`), stays REJECTED. A
    run that starts again re-opens nothing.

    Returns:
        The provisioning, and whether it is new.

    Raises:
        ReferenceConflict: The reference belongs to another request.
        ProvisioningErased: The reference belongs to the same request, and the person's data was erased.
        ReferenceIsId: The reference is new, and is the id of another provisioning.
        DatabaseError: The ledger cannot be read or written.

    """
    while True:
        provisioning, is_new = await ledger.get_or_create(request, reference, owner)
        if provisioning.erased_at is not None:
            raise ProvisioningErased(provisioning.id)
        if provisioning.status is not Status.REJECTED:
            return provisioning, is_new
        try:
            return (
                await _reopen_rejected(
                    ledger,
                    quarantine,
                    sources,
                    provisioning,
                    owner,
                    CallerAction.REQUEST,
                    "requested again",
                    request,
                ),
                False,
            )
        except StaleVersion:
            continue  # another owner wrote in between: decide again on the current version


async def resume(
    ledger: Ledger,
    provisioning: Provisioning,
    owner: LeaseOwner,
    reason: str = "",
    *,
    by_person: bool = False,
) -> Provisioning:
    """Return a TIMED_OUT, CANCELLED or VANISHED provisioning in the status where it stopped, any other unchanged.

    A run of a person that attached to one in flight re-opens nothing later, for example after a crash. Schedules
    and batches leave an erased one as it is.

    Args:
        ledger: The ledger.
        provisioning: The provisioning as it was read.
        owner: The caller.
        reason: Who decided and why, if a person said so; the event stores it.
        by_person: Whether a person asked for it. Only then a CANCELLED one is re-opened, and the 404s so far of a
            training no longer count.

    Raises:
        InvalidRequest: The reason breaks a rule.
        ProvisioningErased: It was erased, and a person asked for it.
        StaleVersion: Another owner changed it since it was read.
        DatabaseError: The ledger cannot be read or written.

    """
    message = _message("re-opened", reason)
    if provisioning.erased_at is not None and not by_person:
        return provisioning
    if provisioning.status in (RESUMABLE_STATUSES if by_person else SCHEDULE_RESUMABLE_STATUSES):
        new_status = await _status_to_resume(ledger, provisioning)
        return await ledger.reopen(provisioning, owner, CallerAction.RESUME, message, new_status)
    if not by_person or provisioning.status.is_terminal:
        return provisioning
    if provisioning.not_found_since is not None:
        # A new version, so that no lease owner that decides about the 404s at this moment ends the training.
        message = _message("the 404s until now no longer count", reason)
        return await ledger.reopen(provisioning, owner, CallerAction.RESUME, message, provisioning.status)
    await ledger.record_call(provisioning.id, owner, CallerAction.RESUME)
    return provisioning


async def retry(
    ledger: Ledger,
    quarantine: QuarantineRepository,
    provisioning: Provisioning,
    owner: LeaseOwner,
    sources: Collection[SourcePrefix],
    reason: str = "",
) -> Provisioning:
    """Return a REJECTED provisioning in ACCEPTED, or with the reason why its recordings may not be read.

    They are in quarantine now, or not in a bucket of AVATARS_SOURCES (`sources`). One in flight is returned
    unchanged, and so is one that this caller retried or attached to before. The event stores a person's reason.

    Raises:
        InvalidRequest: The reason breaks a rule.
        NotReopenable: It has another terminal status, or its avatar was adopted.
        ProvisioningErased: It was erased.
        StaleVersion: Another owner changed it since it was read.
        DatabaseError: The ledger cannot be read or written.

    """
    message = _message("retried", reason)
    if provisioning.status.is_terminal and await ledger.has_called(provisioning.id, owner, CallerAction.RETRY):
        return provisioning
    await require_retryable(quarantine, provisioning)
    if not provisioning.status.is_terminal:
        await ledger.record_call(provisioning.id, owner, CallerAction.RETRY)
        return provisioning
    return await _reopen_rejected(ledger, quarantine, sources, provisioning, owner, CallerAction.RETRY, message)


async def require_retryable(quarantine: QuarantineRepository, provisioning: Provisioning) -> None:
    """Raise NotReopenable or ProvisioningErased unless `retry` re-opens the provisioning, or it is in flight."""
    if provisioning.status.is_terminal or provisioning.kind is RequestKind.ADOPTED:
        is_released = await quarantine.is_released(provisioning)
        require_reopenable(provisioning, RETRYABLE_STATUSES, CallerAction.RETRY, is_released=is_released)


async def require_retrainable(
    ledger: Ledger, quarantine: QuarantineRepository, provisioning: Provisioning, *, has_changes: bool
) -> None:
    """Raise NotReopenable or ProvisioningErased unless `retrain` re-opens the provisioning.

    Args:
        ledger: The ledger.
        quarantine: The quarantine.
        provisioning: The provisioning as it was read.
        has_changes: Whether other recordings or another voice are given.
    """
    states = {submission.state for submission in await ledger.list_submissions(provisioning.id)}
    require_reopenable(
        provisioning,
        retrainable_statuses(states, has_other_recordings=has_changes),
        CallerAction.RETRAIN,
        is_released=await quarantine.is_released(provisioning),
    )


def _message(what: str, reason: str) -> str:
    """Return the message of an event with the person's reason, if there is one. Raises InvalidRequest."""
    return f"{what}: {parse_reason(reason)}" if reason.strip() else what


def require_reopenable(
    provisioning: Provisioning, statuses: frozenset[Status], action: CallerAction, *, is_released: bool = False
) -> None:
    """Raise ProvisioningErased or NotReopenable unless the action re-opens a provisioning like this one.

    Args:
        provisioning: The provisioning.
        statuses: Those that the action re-opens.
        action: What was asked for.
        is_released: Whether a person released its recordings from quarantine.
    """
    if provisioning.erased_at is not None:
        raise ProvisioningErased(provisioning.id)
    if provisioning.kind is RequestKind.ADOPTED:
        raise NotReopenable(
            f"provisioning {provisioning.id} has an adopted avatar, which was made elsewhere: it has no recordings "
            f"that `{action}` could submit",
            hint="make another request with its recordings and a reference of its own",
        )
    if provisioning.status not in statuses:
        raise NotReopenable(
            f"provisioning {provisioning.id} is {provisioning.status}: `{action}` re-opens only "
            f"{', '.join(sorted(statuses))}",
            hint=next_step(provisioning, is_released=is_released),
        )


async def _reopen_rejected(
    ledger: Ledger,
    quarantine: QuarantineRepository,
    sources: Collection[SourcePrefix],
    provisioning: Provisioning,
    owner: LeaseOwner,
    action: CallerAction,
    message: str,
    request: AvatarRequest | None = None,
) -> Provisioning:
    if await ledger.has_called(provisioning.id, owner, action):
        return provisioning
    why, reasons = "in quarantine", await _quarantine_reasons(quarantine, provisioning)
    if not reasons:
        why, reasons = "not in AVATARS_SOURCES", source_reasons(request or provisioning.request, sources)
    if reasons:
        if reasons == provisioning.reasons:
            return provisioning
        return await ledger.transition(provisioning, owner, f"{message}: {why}", reasons=reasons)
    return await ledger.reopen(provisioning, owner, action, message, Status.ACCEPTED, request=request)


async def _quarantine_reasons(quarantine: QuarantineRepository, provisioning: Provisioning) -> list[Reason]:
    """Look all recordings up by URL alone: the file may have been replaced since, and a check follows."""
    refused = {
        role: await quarantine.find_provisioning_for(RecordingIdentity.from_facts(url, None))
        for role, url in provisioning.request.recordings.items()
    }
    return [quarantine_reason(role, found) for role, found in refused.items() if found is not None]


async def _status_to_resume(ledger: Ledger, provisioning: Provisioning) -> Status:
    if provisioning.avatar_id is not None:
        return Status.TRAINING
    submissions = await ledger.list_submissions(provisioning.id)
    is_unresolved = any(
        submission.state in UNRESOLVED and submission.request_fingerprint == provisioning.request_fingerprint
        for submission in submissions
    )
    return Status.SUBMITTING if is_unresolved else Status.ACCEPTED
