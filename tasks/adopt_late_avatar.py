"""The task that looks once more for the avatar of an earlier submission, before another submission is sent."""

from __future__ import annotations

from prefect import task

from models.provisioning import LeaseOwner, Provisioning
from services.account.earlier_avatars import find_earlier_avatar
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS
from services.run_log import log_to_run
from services.submissions import record_created_avatar


@task(**TASK_OPTIONS)
async def adopt_late_avatar(provisioning: Provisioning, owner: LeaseOwner) -> Provisioning:
    """Adopt the avatar of an earlier submission of a provisioning in ACCEPTED, if Argil has it.

    Avatars of a request that was replaced do not count: they are reported as duplicates.

    Returns:
        The provisioning in TRAINING, or unchanged if Argil has no such avatar.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        ArgilUnreachable: The lookup failed, so nothing must be sent.
        SubmissionUnresolved: The account list does not prove that an earlier submission has no avatar.
        StaleVersion: Another owner changed the provisioning.
        DatabaseError: The ledger cannot be read or written.

    """
    async with app_context() as context:
        earlier = await find_earlier_avatar(context, provisioning, owner, for_retrain=False)
        if earlier is None:
            return provisioning
        message = f"Argil has avatar {earlier.avatar.id} of an earlier submission; found and adopted"
        log_to_run("%s", message)
        return await record_created_avatar(
            context, provisioning, owner, earlier.submission, earlier.avatar, message
        )
