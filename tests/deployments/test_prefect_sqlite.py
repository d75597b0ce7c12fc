"""An embedded Prefect server takes many writers at once: none is told that its database is locked."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from pathlib import Path

import httpx
import pytest

AT_ONCE = 60
PATIENCE_SECONDS = 100


@pytest.mark.prefect
async def test_runs_begun_and_moved_all_at_once_are_each_taken_at_the_first_try(prefect_api_url: str) -> None:
    async with httpx.AsyncClient(base_url=prefect_api_url, timeout=PATIENCE_SECONDS) as prefect:
        flow = (await prefect.post("/flows/", json={"name": "many-writers"})).json()["id"]

        async def begin_and_move() -> tuple[int, int]:
            body = {"flow_id": flow, "idempotency_key": uuid.uuid4().hex}
            begun = await prefect.post("/flow_runs/", json=body)
            if begun.status_code != httpx.codes.CREATED:
                return begun.status_code, 0
            state = {"state": {"type": "RUNNING", "name": "Running"}}
            moved = await prefect.post(f"/flow_runs/{begun.json()['id']}/set_state", json=state)
            return begun.status_code, moved.status_code

        answers = Counter(await asyncio.gather(*(begin_and_move() for _ in range(AT_ONCE))))
    assert answers == {(201, 201): AT_ONCE}


@pytest.mark.parametrize(
    ("configured", "taken"),
    [
        (None, "sqlite+aiosqlite:////there/prefect.db?plugin=avatars-many-writers"),
        ("sqlite+aiosqlite:////own/p.db", "sqlite+aiosqlite:////own/p.db?plugin=avatars-many-writers"),
        ("sqlite+aiosqlite:////own/p.db?mode=rw", None),
        ("postgresql+asyncpg://prefect@localhost/prefect", None),
    ],
)
def test_a_database_that_is_configured_is_kept(configured: str | None, taken: str | None) -> None:
    from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL, temporary_settings

    from deployments.prefect_access import embedded_database

    with temporary_settings({PREFECT_SERVER_DATABASE_CONNECTION_URL: configured} if configured else {}):
        settings = embedded_database(Path("/there"))
    assert settings.get("PREFECT_SERVER_DATABASE_CONNECTION_URL") == taken
