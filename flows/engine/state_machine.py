"""Advances one provisioning, step by step, until it reaches a terminal status."""

from __future__ import annotations

import asyncio

from clients.training_monitor import MonitorResult
from flows.engine.execution import TASK_RUN_EXECUTION, ExecutionStrategy
from flows.refused import refused
from flows.training_failed import training_failed
from models.argil.avatar import TERMINAL_STATUSES, AvatarStatus
from models.errors import (
    AvatarsError,
    DatabaseError,
    LeaseLost,
    OperationalError,
    RecordingsChange,
    StaleVersion,
    UnknownAvatars,
)
from models.image_request import ImageRequest
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Provisioning, Status
from models.recordings.recording_secrets import protect_request
from services.account.lost_submissions import recover_submission_of
from services.admission import return_probe
from services.context import app_context
from services.prefect_api.events import emit_outcome_event
from services.run_log import log_to_run
from services.voices.voices import find_delivered_voice
from tasks.adopt_late_avatar import adopt_late_avatar
from tasks.await_training import await_training
from tasks.check_limits import check_limits
from tasks.check_recording import check_recording
from tasks.check_voice import check_voice
from tasks.clone_voice import clone_voice
from tasks.find_provisioning import find_provisioning
from tasks.record_absence import record_absence
from tasks.record_blocker import record_blocker
from tasks.record_checks import record_checks
from tasks.record_outcome import record_outcome
from tasks.resolve_submission import resolve_submission
from tasks.submit_avatar import submit_avatar

MAX_CHECKS = 3
"""How often the recordings of one provisioning are checked in a row because they change."""
_STATUSES_EMITTED_BY_BRANCH = {Status.TRAINING_FAILED, Status.REFUSED}
"""Statuses whose event is emitted by the branch flow that records them."""


async def run_to_completion(
    provisioning: Provisioning,
    owner: LeaseOwner,
    timeout_seconds: float | None = None,
    execution: ExecutionStrategy = TASK_RUN_EXECUTION,
) -> Provisioning:
    """Advance the provisioning from its current status until it is terminal or the wait for the training ends.

    The outcome of a provisioning that is terminal already is published again, without an event. If another owner
    holds the lease, wait until the provisioning is terminal or that lease is released or expires.

    Args:
        provisioning: The provisioning as last read.
        owner: The owner of the lease.
        timeout_seconds: How long to wait for the training; None waits until the training deadline.
        execution: How tasks and branches are called, and how concurrency is limited.

    Returns:
        The provisioning in a terminal status, or in TRAINING if `timeout_seconds` passed first.

    Raises:
        OperationalError: The provisioning cannot continue. The ledger holds the reason, except for a DatabaseError.

    """
    while True:
        with protect_request(provisioning.request):
            try:
                return await _run_leased(provisioning, owner, timeout_seconds, execution)
            except (StaleVersion, LeaseLost):
                # another owner took over, or the provisioning was cancelled: read it again, and wait for that owner
                provisioning = await execution.as_callable(find_provisioning)(provisioning.id)


async def _run_leased(
    provisioning: Provisioning, owner: LeaseOwner, timeout_seconds: float | None, execution: ExecutionStrategy
) -> Provisioning:
    async with (
        app_context() as context,
        context.lease_manager.hold(provisioning, owner, on_wait=execution.on_lease_wait) as leased,
    ):
        provisioning = leased
        was_terminal = provisioning.status.is_terminal
        execution.on_status_change(provisioning)
        if not was_terminal:
            await execution.publish_start(provisioning)
        with protect_request(provisioning.request):  # another run may have replaced it since it was read
            while not provisioning.status.is_terminal:
                previous_status = provisioning.status
                provisioning = await _step(provisioning, owner, timeout_seconds, execution)
                if provisioning.status is not previous_status:
                    # Without the name: an erasure cannot change the log of a run that advances several avatars.
                    log_to_run("provisioning %s is %s", provisioning.id, provisioning.status)
                    execution.on_status_change(provisioning)
                    if not provisioning.status.is_terminal:
                        await execution.publish_progress(provisioning)
                    if timeout_seconds == 0 and _has_just_started(provisioning):
                        return provisioning  # Argil has just created the avatar: a poll would find nothing new
                elif provisioning.status is Status.TRAINING:
                    return provisioning  # timeout_seconds passed before the training deadline
    if not was_terminal:
        async with app_context() as context:
            provisioning = await find_delivered_voice(context, provisioning, owner)
    await execution.publish_outcome(provisioning.id)
    if not was_terminal and provisioning.status not in _STATUSES_EMITTED_BY_BRANCH:
        emit_outcome_event(provisioning)
    return provisioning


def _has_just_started(provisioning: Provisioning) -> bool:
    """Whether the provisioning is in TRAINING, and Argil has not reported the end of the training yet."""
    return provisioning.status is Status.TRAINING and provisioning.raw_status not in TERMINAL_STATUSES


async def _step(
    provisioning: Provisioning, owner: LeaseOwner, timeout_seconds: float | None, execution: ExecutionStrategy
) -> Provisioning:
    try:
        match provisioning.status:
            case Status.ACCEPTED:
                await execution.acquire_slot()
                return await _submit_or_return_probe(provisioning, owner, execution)
            case Status.SUBMITTING:
                await execution.acquire_slot()
                resolve = execution.as_callable(resolve_submission)
                return await resolve(provisioning, owner, execution.lookup_patience_seconds)
            case _:  # TRAINING: `_run_leased` passes no terminal status
                execution.release_slot()
                return await _await_and_record_training(provisioning, owner, timeout_seconds, execution)
    except DatabaseError:
        raise  # the reason cannot be recorded either
    except OperationalError as error:
        blocked = await execution.as_callable(record_blocker)(provisioning.id, error, owner)
        if blocked.status.is_terminal:
            raise StaleVersion(
                f"provisioning {blocked.id} is {blocked.status} since another owner changed it"
            ) from error
        if blocked.reasons != provisioning.reasons:
            await execution.publish_progress(blocked)
        raise


async def _submit_or_return_probe(
    provisioning: Provisioning, owner: LeaseOwner, execution: ExecutionStrategy
) -> Provisioning:
    """Check and submit; if nothing was submitted, another provisioning may be the probe of a pause."""
    async with app_context() as context:
        try:
            checked = await _check_and_submit(provisioning, owner, execution)
        except AvatarsError:
            await return_probe(context, provisioning, owner)
            raise
        if checked.submission_count == provisioning.submission_count:
            await return_probe(context, provisioning, owner)
    return checked


async def _check_and_submit(
    provisioning: Provisioning, owner: LeaseOwner, execution: ExecutionStrategy
) -> Provisioning:
    if provisioning.submission_count:
        provisioning = await execution.as_callable(adopt_late_avatar)(provisioning, owner)
        if provisioning.status is Status.TRAINING:
            return provisioning
    await execution.as_callable(check_limits)(provisioning, owner)
    async with app_context() as context:  # before the media check, which would be in vain
        try:
            await context.account_comparison.require_known_past(context.argil)
        except UnknownAvatars:
            recovered = await recover_submission_of(context, provisioning, owner)
            if recovered.status is not Status.TRAINING:
                raise
            await return_probe(context, provisioning, owner)  # nothing was sent now
            return recovered
    check = execution.as_callable(check_recording)
    for _ in range(MAX_CHECKS):
        checks = await asyncio.gather(*(check(provisioning, role) for role in provisioning.request.recordings))
        voice_problem = (
            await execution.as_callable(check_voice)(provisioning) if _names_voice(provisioning) else None
        )
        checked = await execution.as_callable(record_checks)(provisioning, checks, owner, voice_problem)
        if checked.status.is_terminal:
            return checked
        execution.on_checked(checked)
        if MediaRole.VOICE_SAMPLE in checked.request.recordings:
            checked = await execution.as_callable(clone_voice)(checked, owner)
            if checked.status.is_terminal:
                return checked
        provisioning = await execution.as_callable(submit_avatar)(checked, owner)
        if provisioning.status is not Status.ACCEPTED:  # a recording changed after it was checked
            return provisioning
    raise RecordingsChange(
        f"the recordings of provisioning {provisioning.id} changed after each of {MAX_CHECKS} checks",
        hint=f"wait until nothing writes them any more, then run `avatars resume {provisioning.id}`",
    )


def _names_voice(provisioning: Provisioning) -> bool:
    request = provisioning.request
    return isinstance(request, ImageRequest) and request.voice_id is not None


async def _await_and_record_training(
    provisioning: Provisioning, owner: LeaseOwner, timeout_seconds: float | None, execution: ExecutionStrategy
) -> Provisioning:
    current, result = await execution.as_callable(await_training)(provisioning, owner, timeout_seconds)
    while result is MonitorResult.NOT_FOUND:
        current = await execution.as_callable(record_absence)(current, owner)
        if current.status.is_terminal:
            return current
        current, result = await execution.as_callable(await_training)(current, owner, timeout_seconds)
    if result is MonitorResult.STILL_TRAINING:
        return current
    record = execution.as_callable(record_outcome)
    if result is MonitorResult.TIMED_OUT:
        return await record(current, Status.TIMED_OUT, owner)
    if current.raw_status == AvatarStatus.IDLE:
        return await record(current, Status.READY, owner)
    await execution.run_branch(
        training_failed if current.raw_status == AvatarStatus.TRAINING_FAILED else refused, current.id
    )
    async with app_context() as context:
        return await context.lease_manager.refresh(current.id, owner)
