"""The task that resumes suspended runs whose provisioning is terminal."""

from __future__ import annotations

from prefect import task

from services.prefect_api.prefect_options import TASK_OPTIONS
from services.runs.suspended_runs import resume_terminal_runs


@task(**TASK_OPTIONS)
async def resume_finished_runs() -> int:
    """Resume the suspended runs that have nothing left to wait for; return how many.

    Raises:
        DatabaseError: The ledger cannot be read or written.
        httpx.HTTPError: The Prefect API does not respond.

    """
    return await resume_terminal_runs()
