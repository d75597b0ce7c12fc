"""Registers every deployment to a work pool, and checks that reconcile-avatars is scheduled."""

from __future__ import annotations

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from deployments.catalog import SCHEDULED, build_deployments
from flows.reconcile_avatars import reconcile_avatars
from models.errors import PrefectError
from models.settings import Settings
from services.credentials_block import ArgilCredentials


async def register_deployments(settings: Settings, work_pool: str) -> list[str]:
    """Register every deployment to a work pool, and the block type for the API key.

    Returns:
        The names of the deployments, as FLOW/DEPLOYMENT.

    Raises:
        PrefectError: The work pool does not exist.
    """
    async with get_client() as client:
        try:
            await client.read_work_pool(work_pool)
        except ObjectNotFound:
            raise PrefectError(
                f"the work pool {work_pool!r} does not exist",
                hint=f"run `prefect work-pool create {work_pool} --type process`",
            ) from None
    await ArgilCredentials.aregister_type_and_schema()
    names = []
    for deployment in build_deployments(settings, work_pool):
        await deployment.aapply()
        names.append(f"{deployment.flow_name}/{deployment.name}")
    return names


async def reconcile_is_scheduled() -> bool:
    """Return whether reconcile-avatars is deployed at the Prefect API with an active schedule."""
    async with get_client() as client:
        try:
            deployment = await client.read_deployment_by_name(f"{reconcile_avatars.name}/{SCHEDULED}")
        except ObjectNotFound:
            return False
    return not deployment.paused and any(schedule.active for schedule in deployment.schedules)
