"""Finds the avatars that earlier submissions of a provisioning created, before another one is submitted.

Argil's list can omit a new avatar for minutes, and an avatar that answered 404 can return.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.argil.account_list import AccountList, SoughtAvatar
from models.argil.avatar import Avatar, AvatarStatus
from models.errors import ArgilUnreachable, AvatarNotFound, PollFailed, SubmissionUnresolved
from models.provisioning import LeaseOwner, Provisioning, Status, Submission, SubmissionState
from services.account.duplicates import report_duplicate
from services.account.refused_avatars import quarantine_submission
from services.context import AppContext
from store.reopenings import EarlierAvatar

MAX_FAILURE_AGE_SECONDS = 2.0
"""Lookups within this time share the error of one list call. A batch tries again after 5 seconds."""


async def find_earlier_avatar(
    context: AppContext, provisioning: Provisioning, owner: LeaseOwner, *, for_retrain: bool
) -> EarlierAvatar | None:
    """Return the earlier avatar of the current request to continue with, None if there is none.

    Reads every known avatar, and lists the account for the others. A usable avatar is preferred to one in training.
    A refused one is returned, too, so that its recordings are quarantined instead of sent again. Every other avatar
    that is not on record is reported as a duplicate.

    Args:
        context: The context of this process.
        provisioning: The provisioning as it was read.
        owner: The caller.
        for_retrain: Whether a person asks for another avatar. Then a failed avatar is not returned, and avatars of
            submissions that Argil rejected are looked up, too. Otherwise the provisioning is in ACCEPTED, and
            `EarlierAvatar.replaces_submission` decides.

    Raises:
        ArgilUnreachable: A poll failed, so that it is unknown whether an earlier avatar exists.
        SubmissionUnresolved: The account list does not prove that a submission without a response has no avatar.
        ArgilUnauthorized: Argil rejects the API key.
        DatabaseError: The ledger cannot be read or written.

    """
    try:
        found = await _find_all(context, provisioning, for_retrain=for_retrain)
    except PollFailed as error:
        raise ArgilUnreachable(
            f"nothing was submitted, because the lookup of an earlier avatar failed: {error}",
            hint=f"wait until Argil responds, then {_next_step(provisioning)}",
        ) from None
    candidates = [item for item in found if _is_candidate(item, provisioning, for_retrain=for_retrain)]
    kept = min(candidates, key=lambda item: _preference(item.avatar), default=None)
    for item in found:
        if item is kept:
            continue
        if not item.is_recorded:
            await report_duplicate(context, provisioning, owner, item.avatar)
        if item.avatar.status == AvatarStatus.REFUSED:
            await quarantine_submission(context, provisioning, item.submission.id)
        if for_retrain and item.avatar.status == AvatarStatus.TRAINING_FAILED and item.submission.avatar_id is None:
            # So that no later lookup takes it for the outcome of the retrain.
            await context.ledger.record_avatar(item.submission, item.avatar.id)
    return kept


def _is_candidate(item: EarlierAvatar, provisioning: Provisioning, *, for_retrain: bool) -> bool:
    if for_retrain:
        return item.is_of_request(provisioning) and item.avatar.status != AvatarStatus.TRAINING_FAILED
    return item.replaces_submission(provisioning)


async def _find_all(context: AppContext, provisioning: Provisioning, *, for_retrain: bool) -> list[EarlierAvatar]:
    """Return every avatar of the submissions that Argil has, in the order of the submissions."""
    submissions = await context.ledger.list_submissions(provisioning.id)
    recorded = {item.avatar_id: item.id for item in submissions if item.avatar_id}
    for duplicate in await context.ledger.list_duplicates(provisioning.id):
        recorded.setdefault(duplicate.avatar_id, duplicate.submission_id)
    sought = [
        item
        for item in submissions
        if item.avatar_id is None and (for_retrain or item.state is not SubmissionState.NOT_CREATED)
    ]
    avatars: dict[str, Avatar] = {}
    submission_ids = dict(recorded)
    if for_retrain or sought:
        # The list is requested after the submissions were read; the error of a call that just failed is enough.
        account = (await context.shared_list.fetch_newer(0.0, MAX_FAILURE_AGE_SECONDS)).account
        unrecorded = _find_unrecorded(account, provisioning, sought)
        avatars = {avatar.id: avatar for avatar in [*account.avatars, *unrecorded]}
        for avatar in unrecorded:
            submission_ids.setdefault(avatar.id, avatar.submission_id or "")
    for avatar_id in recorded.keys() - avatars.keys():
        try:
            avatars[avatar_id] = await context.argil.get_avatar(avatar_id)
        except AvatarNotFound:
            continue
    return [
        EarlierAvatar(submission, avatars[avatar_id], is_recorded=avatar_id in recorded)
        for submission in submissions
        for avatar_id, submission_id in submission_ids.items()
        if submission_id == submission.id and avatar_id in avatars
    ]


def _find_unrecorded(
    account: AccountList, provisioning: Provisioning, without_avatar: Sequence[Submission]
) -> list[Avatar]:
    """Return the listed avatars of submissions for which the ledger has no avatar. Raises SubmissionUnresolved."""
    if not without_avatar:
        return []
    submitted_at = min(submission.created_at for submission in without_avatar)
    found = account.find(SoughtAvatar({item.id for item in without_avatar}, provisioning.name, submitted_at))
    found_ids = {avatar.submission_id for avatar in found}
    uncertain = {
        item.id
        for item in without_avatar
        if item.state is not SubmissionState.NOT_CREATED and item.id not in found_ids
    }
    because = account.inconclusive_because(SoughtAvatar(uncertain, provisioning.name, submitted_at))
    if uncertain and because:
        raise SubmissionUnresolved(
            f"nothing was submitted, because an earlier submission may have an avatar: {because}",
            hint=f"wait until the list is complete, then {_next_step(provisioning)}",
        )
    return found


def _next_step(provisioning: Provisioning) -> str:
    """Return what continues the provisioning, which this lookup leaves as it is."""
    if provisioning.status is Status.ACCEPTED:
        return f"run `avatars resume {provisioning.id}`"
    return "run the same command again"


def _preference(avatar: Avatar) -> int:
    """Return the rank of an avatar: a usable one, one in training, a refused one, a failed one."""
    match avatar.status:
        case AvatarStatus.IDLE:
            return 0
        case AvatarStatus.REFUSED:
            return 2
        case AvatarStatus.TRAINING_FAILED:
            return 3
        case _:
            return 1
