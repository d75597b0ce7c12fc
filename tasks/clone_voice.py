"""The task that clones the voice of an image request before its create."""

from __future__ import annotations

from prefect import task

from models.provisioning import LeaseOwner, Provisioning, Status
from models.recordings.recording_secrets import protect_request
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS
from services.voices.voice_cloning import clone_sample, sample_digest


@task(**TASK_OPTIONS)
async def clone_voice(provisioning: Provisioning, owner: LeaseOwner) -> Provisioning:
    """Return the provisioning with its voice cloned, or REJECTED if Argil refuses the sample.

    A request without a voice sample is returned unchanged, and so is one whose voice was cloned before.

    Raises:
        ArgilUnavailable: No voice was cloned, for a reason outside the request.
        SubmissionUnresolved: It is unknown whether the voice exists; nothing is cloned again.
        SubmissionPaused: A pause stands.
        DayBudgetUsed: AVATARS_MAX_CREATES_PER_DAY is used up.
        BatchBudgetUsed: AVATARS_MAX_CREATES_PER_BATCH is used up.
        LeaseLost: The owner's lease was lost before the POST.
        StaleVersion: Another owner changed the provisioning.
        DatabaseError: The ledger cannot be read or written.

    """
    digest = sample_digest(provisioning)
    if digest is None:
        return provisioning
    async with app_context() as context:
        with protect_request(provisioning.request):
            cloned, problem = await clone_sample(context, provisioning, owner, digest)
        if problem is None:
            return cloned
        return await context.ledger.transition(
            cloned, owner, problem.message, new_status=Status.REJECTED, reasons=[problem]
        )
