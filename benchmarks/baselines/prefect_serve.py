"""Plain Prefect: `serve` with a flow that creates one avatar and polls it by id, in a process per run."""

from __future__ import annotations

import asyncio
import sys

import httpx
from prefect import flow, task

from benchmarks.baselines.job import SERVED_DEPLOYMENT, TERMINAL_STATUSES, Job

FLOW, DEPLOYMENT = SERVED_DEPLOYMENT.split("/")


def _client(job: Job) -> httpx.AsyncClient:
    # Not a global: `serve` pickles the globals of the flow.
    return httpx.AsyncClient(base_url=job.url, headers={"x-api-key": job.key}, timeout=60)


@task(retries=3, retry_delay_seconds=5)
async def create(number: int) -> str:
    """Create the avatar."""
    job = Job.from_environment()
    async with _client(job) as http:
        created = await http.post("/avatars", json=job.body(number))
    return str(created.raise_for_status().json()["id"])


@task
async def await_training(avatar_id: str) -> str:
    """Poll the avatar until its status is terminal."""
    job, status = Job.from_environment(), ""
    async with _client(job) as http:
        while status not in TERMINAL_STATUSES:
            await asyncio.sleep(job.poll_seconds)
            response = await http.get(f"/avatars/{avatar_id}")
            status = response.raise_for_status().json()["status"]
    return status


@flow(name=FLOW, flow_run_name="avatar-{number}")
async def provision_served(number: int) -> str:
    """Create one avatar and await its training."""
    return await await_training(await create(number))


if __name__ == "__main__":
    provision_served.serve(name=DEPLOYMENT, limit=int(sys.argv[1]))
