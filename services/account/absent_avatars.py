"""Records that no avatar was found for a submission; what Argil's host had answered decides what follows."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from models.argil.response_meaning import Meaning
from models.errors import (
    ArgilUnreachable,
    OperationalError,
    SubmissionRejected,
    SubmissionUnresolved,
    UnintelligibleResponse,
)
from models.outcomes import OUTCOMES
from models.provisioning import LeaseOwner, Provisioning, Status, Submission, SubmissionState
from models.reason import Reason
from models.text.plural import counted
from services.context import AppContext
from services.run_log import log_to_run

LOST_SUBMISSIONS_PER_STOP = 3
"""Each time this many submissions of a provisioning were lost, its run stops with an operational error."""


async def record_absent_avatar(
    context: AppContext,
    provisioning: Provisioning,
    owner: LeaseOwner,
    submissions: Sequence[Submission],
    latest: Submission,
) -> Provisioning:
    """Resolve the latest submission after a lookup that proves that no avatar was found.

    Returns:
        The provisioning in SUBMISSION_FAILED if Argil had reported an error, or in ACCEPTED if the submission is
        presumed lost and can be sent again.

    Raises:
        SubmissionUnresolved: Argil had confirmed the avatar, so the submission stays unresolved.
        UnintelligibleResponse: The response was not Argil's; the provisioning is ACCEPTED with this reason.
        ArgilUnreachable: LOST_SUBMISSIONS_PER_STOP more submissions were lost.
        StaleVersion: Another owner changed the provisioning.
        DatabaseError: The ledger cannot be written.

    """
    response = latest.response or {}
    match response.get("meaning"):
        case Meaning.CREATED_WITHOUT_ID:
            raise SubmissionUnresolved(
                f"Argil answered {response['status']} with the submission id, but does not list the avatar",
                hint=f"nothing is submitted again: look for the avatar {provisioning.name!r} in the Argil account, "
                f"then run `avatars resume {provisioning.id}`",
            )
        case Meaning.REJECTED_IF_ABSENT:
            return await _record_rejection(context, provisioning, owner, latest)
        case Meaning.UNINTELLIGIBLE:
            error = UnintelligibleResponse(
                f"the create request was answered with {response['status']} ({response['message']}), which is not "
                "Argil's documented response, and no avatar was found",
                hint="check ARGIL_API_URL, proxies and gateways with `avatars doctor`; then "
                f"`avatars resume {provisioning.id}` submits it again",
            )
            await _record_loss(context, provisioning, owner, latest, error)
            raise error
        case _:
            return await _record_unanswered(context, provisioning, owner, submissions, latest)


async def _record_rejection(
    context: AppContext, provisioning: Provisioning, owner: LeaseOwner, latest: Submission
) -> Provisioning:
    response = latest.response or {}
    status, body = response["status"], {"code": response["code"], "message": response["message"]}
    error = SubmissionRejected(
        f"Argil answered {status} with an error, and no avatar was found: {body['message']} (code {body['code']})",
        status=status,
        body=body,
        hint=OUTCOMES[Status.SUBMISSION_FAILED].next_step_for(provisioning.id),
    )
    return await context.ledger.resolve_submission(
        provisioning,
        owner,
        error.message,
        latest,
        SubmissionState.NOT_CREATED,
        new_status=Status.SUBMISSION_FAILED,
        http_status=status,
        response=body,
        reasons=[Reason.from_error(error)],
    )


async def _record_unanswered(
    context: AppContext,
    provisioning: Provisioning,
    owner: LeaseOwner,
    submissions: Sequence[Submission],
    latest: Submission,
) -> Provisioning:
    lost_count = sum(submission.state is SubmissionState.LOST for submission in submissions) + 1
    if lost_count % LOST_SUBMISSIONS_PER_STOP:
        return await _record_loss(context, provisioning, owner, latest, None)
    error = ArgilUnreachable(
        f"{counted(lost_count, 'submission')} got no response, presumed lost",
        hint=f"check the connection to Argil with `avatars doctor`, then run `avatars resume {provisioning.id}`",
    )
    await _record_loss(context, provisioning, owner, latest, error)
    raise error


async def _record_loss(
    context: AppContext,
    provisioning: Provisioning,
    owner: LeaseOwner,
    latest: Submission,
    error: OperationalError | None,
) -> Provisioning:
    message = "no avatar has the submission id after the grace period: the submission is presumed lost"
    log_to_run("%s", message, level=logging.WARNING)
    return await context.ledger.resolve_submission(
        provisioning,
        owner,
        message,
        latest,
        SubmissionState.LOST,
        new_status=Status.ACCEPTED,
        response=latest.response,
        reasons=[] if error is None else [Reason.from_error(error)],
    )
