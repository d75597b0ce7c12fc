"""The task that resumes the runs of orphaned provisionings."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task

from models.provisioning import Provisioning
from services.prefect_api.prefect_options import TASK_OPTIONS
from services.runs.suspended_runs import resume_runs


@task(**TASK_OPTIONS)
async def resume_suspended_runs(provisionings: Sequence[Provisioning]) -> list[Provisioning]:
    """Resume the run of each provisioning; return the provisionings that no run will advance.

    Raises:
        httpx.HTTPError: The Prefect API does not respond.

    """
    return await resume_runs(provisionings)
