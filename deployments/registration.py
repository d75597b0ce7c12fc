"""Registers every deployment to a work pool, and tells whether what wakes sleeping runs is scheduled."""

from __future__ import annotations

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from deployments.catalog import SCHEDULED, deployments
from flows.reconcile_avatars import reconcile_avatars
from models.errors import PrefectError
from models.settings import Settings
from tasks.credentials import ArgilCredentials


async def register(settings: Settings, work_pool: str) -> list[str]:
    """Return the names of the deployments, each registered to the work pool, and the type of block for the key.

    Raises PrefectError.
    """
    async with get_client() as client:
        try:
            await client.read_work_pool(work_pool)
        except ObjectNotFound:
            raise PrefectError(
                f"there is no work pool {work_pool!r}",
                hint=f"prefect work-pool create {work_pool} --type process",
            ) from None
    await ArgilCredentials.aregister_type_and_schema()
    names = []
    for deployment in deployments(settings, work_pool):
        await deployment.aapply()
        names.append(f"{deployment.flow_name}/{deployment.name}")
    return names


async def reconcile_is_scheduled() -> bool:
    """Whether the Prefect API has reconcile-avatars deployed with a schedule that is not paused."""
    async with get_client() as client:
        try:
            found = await client.read_deployment_by_name(f"{reconcile_avatars.name}/{SCHEDULED}")
        except ObjectNotFound:
            return False
    return not found.paused and any(schedule.active for schedule in found.schedules)
