"""DBOS on SQLite: a workflow an avatar, of two steps; the second polls inside: a poll costs no checkpoint."""

from __future__ import annotations

import asyncio
import logging
import time

import httpx
from dbos import DBOS, DBOSConfig

from benchmarks.peers.job import CREATES_AT_ONCE, ENDED, Job

job = Job.given()
turn = asyncio.Semaphore(CREATES_AT_ONCE)
http = httpx.AsyncClient(
    base_url=job.url,
    headers={"x-api-key": job.key},
    timeout=60,
    limits=httpx.Limits(max_connections=100),
)


@DBOS.step()
async def create(number: int) -> str:
    """Create the avatar."""
    async with turn:
        created = await http.post("/avatars", json=job.body(number))
    return str(created.raise_for_status().json()["id"])


@DBOS.step()
async def await_training(avatar_id: str) -> str:
    """Look at the avatar until it has ended."""
    status = ""
    while status not in ENDED:
        await asyncio.sleep(job.poll_seconds)
        answer = await http.get(f"/avatars/{avatar_id}")
        status = answer.raise_for_status().json()["status"]
    return status


@DBOS.workflow()
async def provision(number: int) -> str:
    """Create one avatar and see it to its end; what it returns is recorded."""
    avatar_id = await create(number)
    status: str = await await_training(avatar_id)
    job.noticed[avatar_id] = time.time()
    return status


async def run() -> None:
    """Start a workflow for each avatar, and wait for all."""
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
    job.done()
    DBOS.destroy()
