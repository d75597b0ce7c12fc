"""The floor: asyncio and httpx, nothing remembered, nothing retried."""

from __future__ import annotations

import asyncio
import time

import httpx

from benchmarks.peers.job import CREATES_AT_ONCE, ENDED, Job


async def run(job: Job) -> None:
    """Create each avatar, and look at each by its id until it has ended."""
    turn = asyncio.Semaphore(CREATES_AT_ONCE)
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(
        base_url=job.url, headers={"x-api-key": job.key}, timeout=60, limits=limits
    ) as http:

        async def one(number: int) -> None:
            async with turn:
                created = await http.post("/avatars", json=job.body(number))
            avatar_id = created.raise_for_status().json()["id"]
            status = ""
            while status not in ENDED:
                await asyncio.sleep(job.poll_seconds)
                answer = await http.get(f"/avatars/{avatar_id}")
                status = answer.raise_for_status().json()["status"]
            job.noticed[avatar_id] = time.time()

        await asyncio.gather(*(one(number) for number in range(job.count)))


if __name__ == "__main__":
    given = Job.given()
    asyncio.run(run(given))
    given.done()
