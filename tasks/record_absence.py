"""The task that decides whether an avatar for which Argil has long answered 404 is gone."""

from __future__ import annotations

from prefect import task

from models.provisioning import LeaseOwner, Provisioning
from services.account.absences import decide_absence
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def record_absence(provisioning: Provisioning, owner: LeaseOwner) -> Provisioning:
    """Return the provisioning VANISHED or TIMED_OUT, or still in TRAINING if its avatar is not gone.

    services/account/absences.py has the rules and the errors.

    """
    async with app_context() as context:
        return await decide_absence(context, provisioning, owner)
