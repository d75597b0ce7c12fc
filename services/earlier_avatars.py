"""Finds the avatars that earlier submissions of a provisioning created, before another one is submitted."""

from __future__ import annotations

from collections.abc import Sequence

from models.account_list import AccountList, SoughtAvatar
from models.argil_avatar import Avatar, AvatarStatus
from models.errors import ArgilUnreachable, AvatarNotFound, PollFailed, SubmissionUnresolved
from models.provisioning import LeaseOwner, Provisioning, Submission, SubmissionState
from services.context import AppContext
from services.duplicates import report_duplicate
from store.reopenings import EarlierAvatar


async def find_earlier_avatar(
    context: AppContext, provisioning: Provisioning, owner: LeaseOwner
) -> EarlierAvatar | None:
    """Return an earlier avatar of the current request that did not fail to train, None if there is none.

    Lists the account and reads every known avatar id. A usable avatar is preferred to one in training. A refused
    one is returned, too, so that its recordings are quarantined instead of sent again. Every other avatar that did
    not fail is reported as a duplicate.

    Raises:
        ArgilUnreachable: A poll failed, so that it is unknown whether an earlier avatar exists.
        SubmissionUnresolved: The account list does not prove that a submission without a response has no avatar.
        ArgilUnauthorized: Argil rejects the API key.
        DatabaseError: The ledger cannot be read or written.

    """
    submissions = {
        submission.id: submission for submission in await context.ledger.list_submissions(provisioning.id)
    }
    submission_ids_by_avatar = {
        submission.avatar_id: submission.id for submission in submissions.values() if submission.avatar_id
    }
    for duplicate in await context.ledger.list_duplicates(provisioning.id):
        submission_ids_by_avatar.setdefault(duplicate.avatar_id, duplicate.submission_id)
    try:
        account = await context.argil.list_account()
        found = _find_unrecorded(account, provisioning, list(submissions.values()))
        for avatar in found:
            submission_ids_by_avatar.setdefault(avatar.id, avatar.submission_id or "")
        avatars = {avatar.id: avatar for avatar in [*account.avatars, *found]}
        for avatar_id in submission_ids_by_avatar:
            if avatar_id not in avatars:
                try:
                    avatars[avatar_id] = await context.argil.get_avatar(avatar_id)
                except AvatarNotFound:
                    continue
    except PollFailed as error:
        raise ArgilUnreachable(
            f"nothing was submitted, because the earlier avatars could not be read: {error}",
            hint="wait until Argil responds, then run the same command again",
        ) from None
    earlier = [
        EarlierAvatar(submissions[submission_id], avatars[avatar_id])
        for avatar_id, submission_id in submission_ids_by_avatar.items()
        if avatar_id in avatars
        and submission_id in submissions
        and avatars[avatar_id].status != AvatarStatus.TRAINING_FAILED
    ]
    current = [item for item in earlier if item.submission.request_fingerprint == provisioning.request_fingerprint]
    kept = min(current, key=lambda item: _preference(item.avatar), default=None)
    for item in earlier:
        if item is not kept and item.avatar.id != item.submission.avatar_id:
            await report_duplicate(context, provisioning, owner, item.avatar)
    return kept


def _find_unrecorded(
    account: AccountList, provisioning: Provisioning, submissions: Sequence[Submission]
) -> list[Avatar]:
    """Return the listed avatars of submissions for which the ledger has no avatar. Raises SubmissionUnresolved."""
    without_avatar = [submission for submission in submissions if submission.avatar_id is None]
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
            hint="wait until the list is complete, then run the same command again",
        )
    return found


def _preference(avatar: Avatar) -> int:
    """Return the rank of an avatar: a usable one, one in training, a refused one."""
    if avatar.status == AvatarStatus.IDLE:
        return 0
    return 2 if avatar.is_terminal else 1
