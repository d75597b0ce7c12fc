"""The request of a submission, and the record of the avatars that Argil created for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models.argil.avatar import (
    Avatar,
    CreateAvatarRequest,
    CreateImageAvatarRequest,
    CreateRequest,
    RecordingSource,
)
from models.argil.webhook import callback_path, receiver_url
from models.image_request import ImageRequest
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Provisioning, Status, Submission, SubmissionState
from models.request import AvatarRequest, ProvisioningRequest
from models.request_fields import SUBMISSION_ID_EXTRA
from models.settings import Settings
from models.text.plural import counted
from services.account.duplicates import report_duplicate
from services.context import AppContext
from services.run_log import log_to_run


def submitted_recordings(request: AvatarRequest) -> dict[MediaRole, str]:
    """Return the recordings that the create request names: a voice sample is sent when its voice is cloned."""
    return {role: address for role, address in request.recordings.items() if role is not MediaRole.VOICE_SAMPLE}


def build_create_request(
    request: AvatarRequest,
    submission_id: str,
    urls: Mapping[MediaRole, str],
    callback_url: str | None = None,
    cloned_voice_id: str | None = None,
) -> CreateRequest:
    """Return the body of `POST /avatars`: the caller's fields and the submission id, nothing else.

    Args:
        request: A video or an image request.
        submission_id: The id of the recorded submission.
        urls: The HTTPS URL that Argil downloads each recording from, by role.
        callback_url: Where Argil reports the end of the training of an image; None: nowhere. The create with
            videos has no such field.
        cloned_voice_id: The voice that was cloned from the sample of an image request.

    Raises:
        ValueError: The request is of a kind that is never submitted.
    """
    extras = {**request.extras, SUBMISSION_ID_EXTRA: submission_id}
    sources = {role: RecordingSource(url=url) for role, url in urls.items()}
    match request:
        case ProvisioningRequest():
            return CreateAvatarRequest(
                name=request.name,
                dataset_video=sources[MediaRole.DATASET],
                consent_video=sources[MediaRole.CONSENT],
                extras=extras,
            )
        case ImageRequest():
            return CreateImageAvatarRequest(
                name=request.name,
                dataset_image=sources[MediaRole.IMAGE],
                voice_id=request.voice_id or cloned_voice_id,
                callback_url=callback_url,
                extras=extras,
            )
        case _:
            raise ValueError(f"a request of the kind {request.kind} is never submitted")


def callback_url(settings: Settings, submission_id: str) -> str | None:
    """Return the callback URL of a submission at the receiver, None without AVATARS_WEBHOOK_URL."""
    if settings.avatars_webhook_url is None:
        return None
    token = settings.require_webhook_token()
    return receiver_url(settings.avatars_webhook_url) + callback_path(token, submission_id)


async def limit_problem(context: AppContext, provisioning: Provisioning) -> str:
    """Return why AVATARS_SUBMISSION_LIMIT allows no other submission; empty if it does.

    Submissions for which Argil certainly created nothing do not count. Raises DatabaseError.
    """
    limit = context.settings.avatars_submission_limit
    if provisioning.submission_count < limit:
        return ""
    submissions = await context.ledger.list_submissions(provisioning.id)
    count = sum(submission.state is not SubmissionState.NOT_CREATED for submission in submissions)
    if count < limit:
        return ""
    return f"{counted(count, 'submission')} may have been charged (AVATARS_SUBMISSION_LIMIT={limit})"


async def record_created_avatar(
    context: AppContext,
    provisioning: Provisioning,
    owner: LeaseOwner,
    submission: Submission,
    avatar: Avatar,
    message: str,
) -> Provisioning:
    """Record the avatar that Argil created for a submission and return the provisioning in TRAINING.

    The training starts at the time of the submission, so its deadline does not depend on when the avatar is found.

    Raises:
        StaleVersion: Another owner changed the provisioning since it was read.
        DatabaseError: The ledger cannot be written.

    """
    return await context.ledger.resolve_submission(
        provisioning,
        owner,
        message,
        submission,
        SubmissionState.CREATED,
        new_status=Status.TRAINING,
        avatar_id=avatar.id,
        raw_status=avatar.status,
        training_started_at=submission.created_at,
        avatar_snapshot=avatar.raw,
        reasons=[],
    )


async def adopt_avatars(
    context: AppContext,
    provisioning: Provisioning,
    owner: LeaseOwner,
    submissions_by_id: Mapping[str, Submission],
    avatars: Sequence[Avatar],
) -> Provisioning:
    """Record the avatar of the earliest submission, report the others, and return the provisioning in TRAINING.

    Args:
        context: The composition root.
        provisioning: A provisioning in SUBMITTING, or in ACCEPTED after a submission that was presumed lost.
        owner: The owner of its lease.
        submissions_by_id: Its submissions whose avatars may be adopted.
        avatars: At least one avatar that carries the id of one of them.

    Raises:
        StaleVersion: Another owner changed the provisioning since it was read.
        DatabaseError: The ledger cannot be written.

    """
    first, *others = sorted(avatars, key=lambda avatar: submissions_by_id[avatar.submission_id or ""].ordinal)
    message = f"Argil created avatar {first.id} for the submission; found by its submission id and adopted"
    log_to_run("%s", message)
    submission = submissions_by_id[first.submission_id or ""]
    adopted = await record_created_avatar(context, provisioning, owner, submission, first, message)
    for duplicate in others:
        await report_duplicate(context, adopted, owner, duplicate)
    return adopted
