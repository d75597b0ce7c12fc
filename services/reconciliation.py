"""One reconciliation pass: compares the account at Argil with the ledger and finds orphaned provisionings."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from clients.training_status import fetch_avatars
from models.argil.avatar import Avatar, AvatarStatus
from models.argil.avatar_list import AvatarList
from models.errors import AvatarTaken, ConcurrencyError
from models.provisioning import LeaseOwner, Provisioning, Status, Submission, SubmissionState
from models.recordings.recording_secrets import protect_request
from services.account.absences import record_polls
from services.account.argil_outages import read_account
from services.account.duplicates import report_duplicate
from services.account.lost_submissions import recover_listed
from services.account.refused_avatars import quarantine_submission
from services.context import AppContext, app_context
from services.ledger_pass import PageReader, Stage, iter_stages
from services.run_log import log_to_run
from services.runs.live_owners import LiveOwners
from services.submissions import adopt_avatars
from services.ticks import Tick
from store.observations import Observation
from store.reopenings import EarlierAvatar

PAGE_SIZE = 500
LATE_COMPLETION_WINDOW = timedelta(days=7)
"""How long a timed-out training is still polled."""


@dataclass(frozen=True)
class _Listing:
    """The account's avatars, and when the list call started; None if it proves no absence."""

    avatars: AvatarList
    complete_at: datetime | None


async def find_orphaned(owner: LeaseOwner, tick: Tick | None = None) -> AsyncIterator[list[Provisioning]]:
    """Reconcile the account, then yield the provisionings without a valid lease that need work, page by page.

    These are: provisionings whose lease owner crashed, submissions with an unknown outcome, trainings that have
    finished, passed their deadline or whose avatars are gone, timed-out trainings that finished late, and vanished
    avatars that the account list contains again. There are none while Argil does not answer.

    Args:
        owner: The lease owner of this run.
        tick: The budget of this run, and where it begins; None to read the whole ledger.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        ArgilPathNotFound: ARGIL_API_URL is not the address of the API.
        DatabaseError: The ledger cannot be read or written.

    """
    async with app_context() as context:
        tick = tick or Tick(context.clock, math.inf)
        reading = await read_account(context, tick)
        tick.start_budget()
        if not reading.outage:
            avatars = AvatarList([]) if reading.account is None else reading.account.index
            await recover_listed(context, avatars, owner)
            await reconcile_account(context, avatars, owner)
            stages = _build_stages(context, owner, _Listing(avatars, reading.complete_at), tick)
            async for page in iter_stages(context, stages, tick):
                yield page
        await context.observations.record(Observation.RECONCILED)


def _build_stages(context: AppContext, owner: LeaseOwner, listing: _Listing, tick: Tick) -> list[Stage]:
    live_owners = LiveOwners(context)

    async def select_owned(page: list[Provisioning]) -> list[Provisioning]:
        return await live_owners.leave_out([item for item in page if item.lease_owner])

    async def select_due(page: list[Provisioning]) -> list[Provisioning]:
        return await live_owners.leave_out(await _select_due(context, owner, page, listing, tick))

    async def select_listed(page: list[Provisioning]) -> list[Provisioning]:
        return [item for item in page if item.erased_at is None and listing.avatars.get(item.avatar_id)]

    return [
        Stage(Status.ACCEPTED, _read_unleased(context, Status.ACCEPTED), select_owned),
        Stage(Status.SUBMITTING, _read_unleased(context, Status.SUBMITTING), live_owners.leave_out),
        Stage(Status.TRAINING, _read_unleased(context, Status.TRAINING), select_due),
        Stage(Status.TIMED_OUT, _read_timed_out(context), select_due),
        Stage(Status.VANISHED, _read_unleased(context, Status.VANISHED), select_listed),
    ]


async def reconcile_account(context: AppContext, avatars: AvatarList, owner: LeaseOwner) -> None:
    """Record changes of the account's avatars that belong to submissions in the ledger.

    These are the avatar of a provisioning that was cancelled before Argil responded or waits to be submitted again,
    the current status of a cancelled avatar, and duplicates. The lease owner of a provisioning in SUBMITTING
    resolves it. Provisionings whose listed avatars are on record as theirs are not read.

    Raises:
        DatabaseError: The ledger cannot be read or written.

    """
    submission_ids = await _find_unrecorded(context, avatars)
    for start in range(0, len(submission_ids), PAGE_SIZE):
        page = await context.ledger.find_by_submission_ids(submission_ids[start : start + PAGE_SIZE])
        submissions = await context.ledger.list_submissions_by_provisioning(
            [provisioning.id for provisioning in page]
        )
        for provisioning in page:
            if provisioning.status is not Status.SUBMITTING:
                own = {
                    submission.id: [
                        avatar
                        for avatar_id in avatars.ids_of(submission.id)
                        if (avatar := avatars.get(avatar_id)) is not None
                    ]
                    for submission in submissions[provisioning.id]
                }
                with protect_request(provisioning.request):
                    await _reconcile_provisioning(context, provisioning, submissions[provisioning.id], own, owner)


async def _find_unrecorded(context: AppContext, avatars: AvatarList) -> list[str]:
    """Return the submission ids of the list for whose avatars there may be something to record."""
    found: list[str] = []
    submission_ids = list(avatars.submission_ids)
    for start in range(0, len(submission_ids), PAGE_SIZE):
        page = submission_ids[start : start + PAGE_SIZE]
        recorded = await context.ledger.find_recorded_avatar_ids(page)
        found += [key for key in page if key not in recorded or avatars.ids_of(key) != [recorded[key]]]
    return found


async def _reconcile_provisioning(
    context: AppContext,
    provisioning: Provisioning,
    submissions: Sequence[Submission],
    avatars_by_submission_id: dict[str, list[Avatar]],
    owner: LeaseOwner,
) -> None:
    known_avatar_ids = {submission.avatar_id for submission in submissions}
    current = provisioning
    # For an erased provisioning only duplicates are reported: they still have to be deleted at Argil.
    records_avatar = current.status is Status.CANCELLED and current.erased_at is None
    is_waiting = current.status is Status.ACCEPTED and current.erased_at is None
    try:
        for submission in submissions:
            for avatar in avatars_by_submission_id.get(submission.id, ()):
                if avatar.status == AvatarStatus.REFUSED and not _is_result(avatar, current):
                    await quarantine_submission(context, current, submission.id)
                is_new = avatar.id not in known_avatar_ids
                is_current = submission.request_fingerprint == current.request_fingerprint
                has_place = is_current and current.avatar_id is None
                earlier = EarlierAvatar(submission, avatar, is_recorded=not is_new)
                if is_waiting and has_place and earlier.replaces_submission(current):
                    current = await adopt_avatars(context, current, owner, {submission.id: submission}, [avatar])
                elif has_place and is_new and records_avatar:
                    current = await _record_late_avatar(context, current, submission, avatar, owner)
                elif is_new or _has_returned(avatar, current):
                    await report_duplicate(context, current, owner, avatar)
                elif records_avatar and avatar.id == current.avatar_id and avatar.status != current.raw_status:
                    current = await context.ledger.transition(
                        current,
                        owner,
                        f"Argil reports {avatar.status}",
                        raw_status=avatar.status,
                        avatar_snapshot=avatar.raw,
                    )
    except ConcurrencyError:
        log_to_run(
            "provisioning %s changed while it was reconciled: left to the next scheduled run", provisioning.id
        )
    except AvatarTaken as error:
        log_to_run("provisioning %s was not reconciled: %s", provisioning.id, error.message, level=logging.ERROR)


def _is_result(avatar: Avatar, provisioning: Provisioning) -> bool:
    """Return whether the status of the provisioning follows that of this avatar."""
    return avatar.id == provisioning.avatar_id and provisioning.status is not Status.CANCELLED


def _has_returned(avatar: Avatar, provisioning: Provisioning) -> bool:
    """Return whether an earlier avatar, in whose place another one was submitted, is usable after all."""
    return provisioning.avatar_id not in {None, avatar.id} and avatar.status == AvatarStatus.IDLE


async def _record_late_avatar(
    context: AppContext, provisioning: Provisioning, submission: Submission, avatar: Avatar, owner: LeaseOwner
) -> Provisioning:
    return await context.ledger.resolve_submission(
        provisioning,
        owner,
        f"Argil created avatar {avatar.id} for the submission and continues to train it",
        submission,
        SubmissionState.CREATED,
        avatar_id=avatar.id,
        raw_status=avatar.status,
        training_started_at=submission.created_at,
        avatar_snapshot=avatar.raw,
    )


def _read_unleased(context: AppContext, status: Status) -> PageReader:
    return lambda after: context.ledger.list_unleased(status, after=after, limit=PAGE_SIZE)


def _read_timed_out(context: AppContext) -> PageReader:
    since = context.clock.now() - LATE_COMPLETION_WINDOW
    return lambda after: context.ledger.list_timed_out(since, after=after, limit=PAGE_SIZE)


async def _select_due(
    context: AppContext, owner: LeaseOwner, page: list[Provisioning], listing: _Listing, tick: Tick
) -> list[Provisioning]:
    overdue_since = context.clock.now() - timedelta(seconds=context.settings.avatars_training_timeout_seconds)
    by_avatar_id = {
        item.avatar_id: item
        for item in page
        if item.avatar_id and not _is_still_training(item, item.avatar_id, listing, overdue_since)
    }
    known = [avatar for avatar_id in by_avatar_id if (avatar := listing.avatars.get(avatar_id)) is not None]
    fetched = await fetch_avatars(context.argil, by_avatar_id, known, may_continue=lambda: not tick.is_over)
    if fetched.stopped_at is not None:
        tick.stop(page[page.index(by_avatar_id[fetched.stopped_at]) - 1])  # the first poll is always sent
    polled = [(by_avatar_id[avatar_id], avatar) for avatar_id, avatar in fetched.by_id.items()]
    gone_ids = await record_polls(context, owner, polled, listing.complete_at)
    due = [
        (provisioning, avatar)
        for provisioning, avatar in polled
        if provisioning.id in gone_ids or _needs_action(provisioning, avatar, overdue_since)
    ]
    context.training_monitor.use_received(avatar for _, avatar in due if avatar is not None)
    return [provisioning for provisioning, _ in due]


def _is_still_training(
    provisioning: Provisioning, avatar_id: str, listing: _Listing, overdue_since: datetime
) -> bool:
    """Return whether there is nothing to record and nothing to do: so it is for most of thousands."""
    is_as_before = listing.avatars.is_unfinished(avatar_id) and provisioning.not_found_since is None
    return is_as_before and not provisioning.reasons and not _needs_action(provisioning, None, overdue_since)


def _needs_action(provisioning: Provisioning, avatar: Avatar | None, overdue_since: datetime) -> bool:
    is_terminal = avatar is not None and avatar.is_terminal
    if provisioning.status is Status.TIMED_OUT:
        return is_terminal
    started_at = provisioning.training_started_at
    is_overdue = started_at is not None and started_at <= overdue_since
    return is_terminal or is_overdue or provisioning.lease_owner is not None
