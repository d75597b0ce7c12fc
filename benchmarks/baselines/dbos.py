"""DBOS on SQLite: one workflow per avatar with two steps. The second step polls, so a poll needs no checkpoint."""

from __future__ import annotations

import asyncio
import logging
import time

import httpx
from dbos import DBOS, DBOSConfig

from benchmarks.baselines.job import MAX_CONCURRENT_CREATES, TERMINAL_STATUSES, Job

job = Job.from_environment()
semaphore = asyncio.Semaphore(MAX_CONCURRENT_CREATES)
http = httpx.AsyncClient(
    base_url=job.url,
    headers={"x-api-key": job.key},
    timeout=60,
    limits=httpx.Limits(max_connections=100),
)


@DBOS.step()
async def create(number: int) -> str:
    """Create the avatar."""
    async with semaphore:
        created = await http.post("/avatars", json=job.body(number))
    return str(created.raise_for_status().json()["id"])


@DBOS.step()
async def await_training(avatar_id: str) -> str:
    """Poll the avatar until its status is terminal."""
    status = ""
    while status not in TERMINAL_STATUSES:
        await asyncio.sleep(job.poll_seconds)
        response = await http.get(f"/avatars/{avatar_id}")
        status = response.raise_for_status().json()["status"]
    return status


@DBOS.workflow()
async def provision(number: int) -> str:
    """Create one avatar and await its training; DBOS records the returned status."""
    avatar_id = await create(number)
    status: str = await await_training(avatar_id)
    job.detected_at[avatar_id] = time.time()
    return status


async def run() -> None:
    """Start a workflow per avatar and wait for all."""
    async with http:
        handles = [await DBOS.start_workflow_async(provision, number) for number in range(job.count)]
        await asyncio.gather(*(handle.get_result() for handle in handles))


if __name__ == "__main__":
    logging.getLogger("dbos").setLevel(logging.WARNING)
    config: DBOSConfig = {
        "name": "benchmark",
        "system_database_url": f"sqlite:///{job.folder / 'dbos.sqlite'}",
        "log_level": "WARNING",
    }
    DBOS(config=config)
    DBOS.launch()
    asyncio.run(run())
    job.save()
    DBOS.destroy()
