"""An embedded Prefect server accepts concurrent writers without 'database is locked' errors."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from pathlib import Path

import httpx
import pytest
from sqlalchemy import JSON, Column, MetaData, Table, create_engine
from sqlalchemy.exc import StatementError

CONCURRENT_WRITERS = 60
TIMEOUT_SECONDS = 100


@pytest.mark.prefect
@pytest.mark.system
async def test_server_accepts_concurrent_writes_without_retries(prefect_api_url: str) -> None:
    async with httpx.AsyncClient(base_url=prefect_api_url, timeout=TIMEOUT_SECONDS) as prefect:
        flow = (await prefect.post("/flows/", json={"name": "many-writers"})).json()["id"]

        async def create_and_start() -> tuple[int, int]:
            body = {"flow_id": flow, "idempotency_key": uuid.uuid4().hex}
            created = await prefect.post("/flow_runs/", json=body)
            if created.status_code != httpx.codes.CREATED:
                return created.status_code, 0
            state = {"state": {"type": "RUNNING", "name": "Running"}}
            started = await prefect.post(f"/flow_runs/{created.json()['id']}/set_state", json=state)
            return created.status_code, started.status_code

        status_codes = Counter(await asyncio.gather(*(create_and_start() for _ in range(CONCURRENT_WRITERS))))
    assert status_codes == {(201, 201): CONCURRENT_WRITERS}


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        (None, "sqlite+aiosqlite:////home/prefect.db?plugin=avatars-begin-immediate"),
        (
            "sqlite+aiosqlite:////configured/p.db",
            "sqlite+aiosqlite:////configured/p.db?plugin=avatars-begin-immediate",
        ),
        ("sqlite+aiosqlite:////configured/p.db?mode=rw", None),
        ("postgresql+asyncpg://prefect@localhost/prefect", None),
    ],
)
def test_configured_database_is_kept(configured: str | None, expected: str | None) -> None:
    from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL, temporary_settings

    from deployments.embedded.prefect_connection import embedded_database_settings

    with temporary_settings({PREFECT_SERVER_DATABASE_CONNECTION_URL: configured} if configured else {}):
        settings = embedded_database_settings(Path("/home"))
    assert settings.get("PREFECT_SERVER_DATABASE_CONNECTION_URL") == expected


@pytest.mark.parametrize("value", ["\ud800", {"a\0": 1}, float("nan")], ids=ascii)
def test_unstorable_json_is_not_written(tmp_path: Path, value: object) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/prefect.db?plugin=avatars-begin-immediate")
    rows = Table("rows", MetaData(), Column("value", JSON))
    with engine.connect() as connection:
        rows.create(connection)
        connection.execute(rows.insert(), {"value": {"name": "Zoë"}})
        with pytest.raises(StatementError, match="it has"):
            connection.execute(rows.insert(), {"value": value})
        assert connection.execute(rows.select()).all() == [({"name": "Zoë"},)]
    engine.dispose()
