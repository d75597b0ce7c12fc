"""Finds out why Prefect does not start a run: its deployment, work pool or work queue is paused or deleted."""

from __future__ import annotations

from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound

from models.run_ownership import DEPLOYMENT_DELETED, FLOWS_WITH_ONE_PROVISIONING, NO_DEPLOYMENT


class StartObstacles:
    """Reads each flow, deployment, work pool and work queue once: thousands of runs share a few of them.

    Every method raises httpx.HTTPError if the Prefect API does not respond.
    """

    def __init__(self, client: PrefectClient) -> None:
        self._client = client
        self._known: dict[tuple[UUID | None, str | None, UUID | None], str | None] = {}
        self._flow_names: dict[UUID, str] = {}

    async def find(self, run: FlowRun) -> str | None:
        """Return why Prefect does not start the run, as a clause for a message; None if it does."""
        key = (run.deployment_id, run.work_pool_name, run.work_queue_id)
        if key not in self._known:
            self._known[key] = await self._read(run)
        return self._known[key]

    async def has_other_work(self, run: FlowRun) -> bool:
        """Return whether the run's flow advances more than one provisioning per run, as `provision-batch` does."""
        if run.flow_id not in self._flow_names:
            self._flow_names[run.flow_id] = (await self._client.read_flow(run.flow_id)).name
        return self._flow_names[run.flow_id] not in FLOWS_WITH_ONE_PROVISIONING

    async def _read(self, run: FlowRun) -> str | None:
        if run.deployment_id is None:
            return NO_DEPLOYMENT
        try:
            deployment = await self._client.read_deployment(run.deployment_id)
        except ObjectNotFound:
            return DEPLOYMENT_DELETED
        if deployment.paused:
            return f"its deployment {deployment.name!r} is paused"
        return await self._read_pool(run.work_pool_name or deployment.work_pool_name) or await self._read_queue(
            run.work_queue_id or deployment.work_queue_id
        )

    async def _read_pool(self, name: str | None) -> str | None:
        if name is None:
            return None
        try:
            pool = await self._client.read_work_pool(name)
        except ObjectNotFound:
            return f"its work pool {name!r} was deleted"
        return f"its work pool {name!r} is paused" if pool.is_paused else None

    async def _read_queue(self, queue_id: UUID | None) -> str | None:
        if queue_id is None:
            return None
        try:
            queue = await self._client.read_work_queue(queue_id)
        except ObjectNotFound:
            return "its work queue was deleted"
        return f"its work queue {queue.name!r} is paused" if queue.is_paused else None
