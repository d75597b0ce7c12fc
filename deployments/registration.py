"""Registers every deployment to a work pool, and checks that reconcile-avatars is scheduled."""

from __future__ import annotations

import math

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from deployments.catalog import SCHEDULED, build_deployments
from flows.reconcile_avatars import reconcile_avatars
from models.errors import PrefectError
from models.settings import Settings
from services.prefect_api.credentials_block import ArgilCredentials
from services.prefect_api.global_rate_limit import LIMIT_NAME


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


async def ensure_rate_limit(requests_per_second: float) -> bool:
    """Create the limit `argil-api` that all workers share, unless it exists; return whether it was created.

    An existing limit stays as it is: an operator may have changed it.

    Args:
        requests_per_second: AVATARS_REQUESTS_PER_SECOND.
    """
    async with get_client() as client:
        try:
            await client.read_global_concurrency_limit_by_name(LIMIT_NAME)
        except ObjectNotFound:
            pass
        else:
            return False
        limit = GlobalConcurrencyLimitCreate(
            name=LIMIT_NAME,
            limit=max(math.ceil(requests_per_second), 1),
            slot_decay_per_second=requests_per_second,
        )
        try:
            await client.create_global_concurrency_limit(limit)
        except ObjectAlreadyExists:  # by another process since
            return False
    return True


async def reconcile_is_scheduled() -> bool:
    """Return whether reconcile-avatars is deployed at the Prefect API with an active schedule."""
    async with get_client() as client:
        try:
            deployment = await client.read_deployment_by_name(f"{reconcile_avatars.name}/{SCHEDULED}")
        except ObjectNotFound:
            return False
    return not deployment.paused and any(schedule.active for schedule in deployment.schedules)
