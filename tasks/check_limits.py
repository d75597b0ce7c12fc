"""The task that checks before a media check whether the provisioning may be submitted now."""

from __future__ import annotations

from prefect import task

from models.provisioning import LeaseOwner, Provisioning
from services.admission import require_admission, wait_out_rate_pause
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def check_limits(provisioning: Provisioning, owner: LeaseOwner) -> None:
    """Return if no pause stands and the day and the batch have budget left; wait for the end of a short rate pause.

    Raises:
        SubmissionPaused: A pause stands.
        DayBudgetUsed: AVATARS_MAX_CREATES_PER_DAY is used up.
        BatchBudgetUsed: AVATARS_MAX_CREATES_PER_BATCH is used up.
        DatabaseError: The ledger cannot be read or written.

    """
    async with app_context() as context:
        await wait_out_rate_pause(context, lambda: require_admission(context, provisioning, owner))
