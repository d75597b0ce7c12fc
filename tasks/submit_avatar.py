"""Creates the avatar at Argil: intent recorded first, one POST, the answer recorded."""

from __future__ import annotations

import logging

from prefect import task

from models.avatar import SUBMISSION_KEY, Avatar, CreateAvatar, VideoSource
from models.errors import ArgilUnavailable, OutcomeUnknown, RequestRefused
from models.provisioning import Driver, Provisioning, Status, Submission, SubmissionState
from models.reason import Reason
from models.request import ProvisioningRequest
from tasks.narrate import narrate
from tasks.options import TASK
from tasks.runtime import Runtime, runtime


def create_request(request: ProvisioningRequest, submission_id: str) -> CreateAvatar:
    """Return the create: the caller's fields and our correlation key, nothing else."""
    return CreateAvatar(
        name=request.name,
        dataset_video=VideoSource(url=request.dataset_video),
        consent_video=VideoSource(url=request.consent_video),
        extras={**request.extras, SUBMISSION_KEY: submission_id},
    )


async def take(
    active: Runtime, seen: Provisioning, driver: Driver, submission: Submission, avatar: Avatar, why: str
) -> Provisioning:
    """Record that Argil made this avatar of the submission; its age counts from when the create was recorded."""
    return await active.ledger.settle_submission(
        seen,
        driver,
        why,
        submission,
        SubmissionState.TAKEN,
        to=Status.TRAINING,
        avatar_id=avatar.id,
        raw_status=avatar.status,
        training_since=submission.created_at,
        avatar=avatar.raw,
        reasons=[],
    )


@task(**TASK)
async def submit_avatar(provisioning: Provisioning, driver: Driver) -> Provisioning:
    """POST the avatar, once.

    Returns the provisioning in TRAINING, SUBMISSION_FAILED, or still SUBMITTING where nothing tells whether
    Argil took it. Raises ArgilUnavailable where Argil surely took nothing (it is ACCEPTED again, with the
    reason), LeaseHeld or StaleVersion where another driver took over before anything was sent, DatabaseError.
    """
    async with runtime() as active:
        ledger = active.ledger
        seen, submission = await ledger.begin_submission(provisioning, driver, "a create was recorded")

        async def still_ours() -> None:
            await active.leases.renew(seen.id, driver, active.lease, version=seen.version)

        try:
            avatar = await active.argil.create(create_request(seen.request, submission.id), before_each=still_ours)
        except RequestRefused as error:
            return await ledger.settle_submission(
                seen,
                driver,
                error.message,
                submission,
                SubmissionState.NOT_TAKEN,
                to=Status.SUBMISSION_FAILED,
                http_status=error.status,
                answer=error.answer,
                reasons=[Reason.of(error)],
            )
        except ArgilUnavailable as error:
            await ledger.settle_submission(
                seen,
                driver,
                error.message,
                submission,
                SubmissionState.NOT_TAKEN,
                to=Status.ACCEPTED,
                reasons=[Reason.of(error)],
            )
            raise
        except OutcomeUnknown as error:
            narrate(
                "%s: looking for the avatar before anything is sent again", error.message, level=logging.WARNING
            )
            return await ledger.settle_submission(seen, driver, error.message, submission, SubmissionState.UNKNOWN)
        return await take(active, seen, driver, submission, avatar, f"Argil created avatar {avatar.id}")
