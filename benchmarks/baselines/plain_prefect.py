"""Plain Prefect: one subflow per avatar, with one task that creates it and one that polls it."""

from __future__ import annotations

import asyncio
import time

import httpx
from prefect import flow, task

from benchmarks.baselines.job import MAX_CONCURRENT_CREATES, TERMINAL_STATUSES, Job

job = Job.from_environment()
semaphore = asyncio.Semaphore(MAX_CONCURRENT_CREATES)
http = httpx.AsyncClient(
    base_url=job.url,
    headers={"x-api-key": job.key},
    timeout=60,
    limits=httpx.Limits(max_connections=100),
)


@task(retries=3, retry_delay_seconds=5)
async def create(number: int) -> str:
    """Create the avatar."""
    async with semaphore:
        created = await http.post("/avatars", json=job.body(number))
    return str(created.raise_for_status().json()["id"])


@task
async def await_training(avatar_id: str) -> str:
    """Poll the avatar until its status is terminal."""
    status = ""
    while status not in TERMINAL_STATUSES:
        await asyncio.sleep(job.poll_seconds)
        response = await http.get(f"/avatars/{avatar_id}")
        status = response.raise_for_status().json()["status"]
    job.detected_at[avatar_id] = time.time()
    return status


@flow(flow_run_name="avatar-{number}")
async def provision(number: int) -> str:
    """Create one avatar and await its training."""
    return await await_training(await create(number))


@flow
async def provision_all(count: int) -> None:
    """Run one subflow per avatar."""
    await asyncio.gather(*(provision(number) for number in range(count)))


if __name__ == "__main__":
    asyncio.run(provision_all(job.count))
    job.save()
