"""The plain Prefect way: a subflow an avatar, of a task that creates and a task that polls."""

from __future__ import annotations

import asyncio
import time

import httpx
from prefect import flow, task

from benchmarks.peers.job import CREATES_AT_ONCE, ENDED, Job

job = Job.given()
turn = asyncio.Semaphore(CREATES_AT_ONCE)
http = httpx.AsyncClient(
    base_url=job.url,
    headers={"x-api-key": job.key},
    timeout=60,
    limits=httpx.Limits(max_connections=100),
)


@task(retries=3, retry_delay_seconds=5)
async def create(number: int) -> str:
    """Create the avatar."""
    async with turn:
        created = await http.post("/avatars", json=job.body(number))
    return str(created.raise_for_status().json()["id"])


@task
async def await_training(avatar_id: str) -> str:
    """Look at the avatar until it has ended."""
    status = ""
    while status not in ENDED:
        await asyncio.sleep(job.poll_seconds)
        answer = await http.get(f"/avatars/{avatar_id}")
        status = answer.raise_for_status().json()["status"]
    job.noticed[avatar_id] = time.time()
    return status


@flow(flow_run_name="avatar-{number}")
async def provision(number: int) -> str:
    """Create one avatar and see it to its end."""
    return await await_training(await create(number))


@flow
async def provision_all(count: int) -> None:
    """Run a subflow for each avatar."""
    await asyncio.gather(*(provision(number) for number in range(count)))


if __name__ == "__main__":
    asyncio.run(provision_all(job.count))
    job.done()
