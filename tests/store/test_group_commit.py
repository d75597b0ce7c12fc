"""Writers of SQLite that come at once: one transaction for many, and each one's failure its own."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import event, text

from models.errors import DatabaseError
from store.database import Database

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
WRITERS = 20


async def write(
    database: Database, number: int, *, fails: BaseException | None = None, broken: bool = False
) -> None:
    async with database.write_transaction() as connection:
        await connection.execute(text("INSERT INTO written VALUES (:number)"), {"number": number})
        if broken:
            await connection.execute(text("INSERT INTO nowhere VALUES (1)"))
        if fails is not None:
            raise fails


async def written(database: Database) -> set[int]:
    async with database.read_transaction() as connection:
        return set((await connection.execute(text("SELECT number FROM written"))).scalars())


@pytest.fixture
async def table(database: Database) -> Database:
    async with database.write_transaction() as connection:
        await connection.execute(text("CREATE TABLE written (number INTEGER)"))
    return database


async def test_concurrent_writers_share_transactions(table: Database) -> None:
    commits: list[object] = []
    event.listen(table.engine.sync_engine, "commit", commits.append)
    await asyncio.gather(*(write(table, number) for number in range(WRITERS)))
    assert len(commits) < WRITERS / 2
    assert await written(table) == set(range(WRITERS))


async def test_writer_error_rolls_back_only_its_own_changes(table: Database) -> None:
    works = (write(table, number, fails=KeyError() if number % 3 == 1 else None) for number in range(WRITERS))
    ends = await asyncio.gather(*works, return_exceptions=True)
    assert [isinstance(end, KeyError) for end in ends] == [number % 3 == 1 for number in range(WRITERS)]
    assert await written(table) == {number for number in range(WRITERS) if number % 3 != 1}


async def test_reported_commits_are_committed_and_failures_not(table: Database) -> None:
    works = (write(table, number, broken=number == 7) for number in range(WRITERS))
    ends = await asyncio.gather(*works, return_exceptions=True)
    assert isinstance(ends[7], DatabaseError)
    assert all(end is None or isinstance(end, DatabaseError) for end in ends)
    assert await written(table) == {number for number, end in enumerate(ends) if end is None}


async def test_cancelled_waiters_do_not_block_other_writers(table: Database) -> None:
    tasks = [asyncio.create_task(write(table, number)) for number in range(WRITERS)]
    await asyncio.sleep(0)
    for task in tasks[1::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await write(table, WRITERS)
    assert await written(table) >= {*range(0, WRITERS, 2), WRITERS}
