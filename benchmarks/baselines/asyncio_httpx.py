"""The lower bound: asyncio and httpx, without persistence and without retries."""

from __future__ import annotations

import asyncio
import time

import httpx

from benchmarks.baselines.job import MAX_CONCURRENT_CREATES, TERMINAL_STATUSES, Job


async def run(job: Job) -> None:
    """Create each avatar, and poll each by its id until its status is terminal."""
    semaphore = asyncio.Semaphore(MAX_CONCURRENT_CREATES)
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(
        base_url=job.url, headers={"x-api-key": job.key}, timeout=60, limits=limits
    ) as http:

        async def provision(number: int) -> None:
            async with semaphore:
                created = await http.post("/avatars", json=job.body(number))
            avatar_id = created.raise_for_status().json()["id"]
            status = ""
            while status not in TERMINAL_STATUSES:
                await asyncio.sleep(job.poll_seconds)
                response = await http.get(f"/avatars/{avatar_id}")
                status = response.raise_for_status().json()["status"]
            job.detected_at[avatar_id] = time.time()

        await asyncio.gather(*(provision(number) for number in range(job.count)))


if __name__ == "__main__":
    main_job = Job.from_environment()
    asyncio.run(run(main_job))
    main_job.save()
