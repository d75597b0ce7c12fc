"""The lower bound of a reconciliation pass: asyncio, httpx and asyncpg, which find the ended trainings."""

from __future__ import annotations

import asyncio
import os

import asyncpg
import httpx

from benchmarks.baselines.job import TERMINAL_STATUSES

QUERY = "SELECT id, avatar_id FROM provisionings WHERE status = 'TRAINING'"


async def run() -> None:
    """List the account, read the avatar ids of the ledger, and print how many trainings have ended."""
    headers = {"x-api-key": os.environ["ARGIL_API_KEY"]}
    async with httpx.AsyncClient(base_url=os.environ["ARGIL_API_URL"], headers=headers, timeout=180) as http:
        response = await http.get("/avatars", params={"visibility": "private"})
    statuses = {avatar["id"]: avatar["status"] for avatar in response.raise_for_status().json()}
    connection = await asyncpg.connect(os.environ["AVATARS_DATABASE_URL"].replace("+asyncpg", ""))
    try:
        rows = await connection.fetch(QUERY)
    finally:
        await connection.close()
    ended = [row["id"] for row in rows if statuses.get(row["avatar_id"]) in TERMINAL_STATUSES]
    print(f"{len(ended)} of {len(rows)} ended")


if __name__ == "__main__":
    asyncio.run(run())
