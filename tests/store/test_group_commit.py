"""Group commit on SQLite: shared transactions, isolated errors, cancellation, and a responsive event loop."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import IntegrityError

from models.errors import DatabaseError
from store import migrate
from store.database import Database
from store.group_commit import MAX_GROUP_SIZE, Work
from store.sqlite_backend import WRITE_OPTION

WRITERS = 20
TIMEOUT_SECONDS = 30.0
"""Limits a hanging test; no test waits so long if the code is correct."""

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class OwnError(Exception):
    """An error of a written function that has nothing to do with the database."""


@pytest.fixture
async def table(database: Database) -> Database:
    await database.write(
        lambda connection: connection.execute(text("CREATE TABLE written (number INTEGER PRIMARY KEY)"))
    )
    return database


@pytest.fixture
def statements(table: Database) -> list[str]:
    """The statements that begin and end write transactions, in order."""
    recorded: list[str] = []

    @event.listens_for(table.engine, "before_cursor_execute")
    def record_begin(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("BEGIN IMMEDIATE"):
            recorded.append(statement)

    @event.listens_for(table.engine, "commit")
    def record_commit(connection: Connection) -> None:
        if connection.get_execution_options().get(WRITE_OPTION):
            recorded.append("COMMIT")

    return recorded


def insert(number: int, error: BaseException | str | None = None) -> Work[int]:
    """Return a function that inserts a row, then raises the error or executes the broken statement."""

    def work(connection: Connection) -> int:
        connection.execute(text("INSERT INTO written VALUES (:number)"), {"number": number})
        if isinstance(error, str):
            connection.execute(text(error))
        elif error is not None:
            raise error
        return number

    return work


async def stored(database: Database) -> list[int]:
    query = text("SELECT number FROM written ORDER BY rowid")
    return await database.read(lambda connection: list(connection.execute(query).scalars()))


@contextlib.asynccontextmanager
async def busy_writer(database: Database) -> AsyncIterator[None]:
    """Occupy the writer thread, so that all writes in the block are queued and then share a transaction."""
    started, end = threading.Event(), threading.Event()

    def wait(_: Connection) -> None:
        started.set()
        end.wait(TIMEOUT_SECONDS)

    blocker = asyncio.create_task(database.write(wait))
    try:
        assert await asyncio.to_thread(started.wait, TIMEOUT_SECONDS)
        yield
    finally:
        end.set()
        await blocker


async def write_group(database: Database, *works: Work[Any]) -> list[Any]:
    """Run the functions in one transaction; return their results and errors."""
    async with busy_writer(database):
        tasks = [asyncio.create_task(database.write(work)) for work in works]
        await asyncio.sleep(0)
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_concurrent_writes_share_transactions(table: Database, statements: list[str]) -> None:
    results = await write_group(table, *(insert(number) for number in range(WRITERS)))
    assert results == list(range(WRITERS))
    assert statements == ["BEGIN IMMEDIATE", "COMMIT"] * 2  # the first one is that of `busy_writer`
    assert await stored(table) == list(range(WRITERS))


async def test_full_group_is_followed_by_another_in_order(table: Database, statements: list[str]) -> None:
    count = 2 * MAX_GROUP_SIZE + 1
    finished: list[int] = []

    async def write(number: int) -> None:
        finished.append(await table.write(insert(number)))

    async with busy_writer(table):
        tasks = [asyncio.create_task(write(number)) for number in range(count)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert finished == list(range(count))
    assert await stored(table) == finished
    assert statements == ["BEGIN IMMEDIATE", "COMMIT"] * 4


@pytest.mark.parametrize("error", [ValueError(), TimeoutError(), OSError(28, "own"), OwnError()])
async def test_own_error_rolls_back_that_function_alone(table: Database, error: Exception) -> None:
    results = await write_group(table, insert(1), insert(2, error), insert(3))
    assert (results[0], results[2]) == (1, 3)
    assert results[1] is error
    assert await stored(table) == [1, 3]


@pytest.mark.parametrize("error", [ValueError(), TimeoutError(), OSError(28, "own")])
async def test_own_error_of_a_single_write_is_raised_as_it_is(table: Database, error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await table.write(insert(1, error))
    assert caught.value is error
    with pytest.raises(type(error)) as caught:
        await table.read(lambda _: (_ for _ in ()).throw(error))
    assert caught.value is error
    assert await stored(table) == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO written VALUES (2)",  # IntegrityError
        "INSERT INTO written VALUES (9), (2)",
    ],
)
async def test_integrity_error_rolls_back_that_function_alone(table: Database, statement: str) -> None:
    results = await write_group(table, insert(1), insert(2, statement), insert(3))
    assert (results[0], results[2]) == (1, 3)
    assert isinstance(results[1], DatabaseError)
    assert "UNIQUE constraint failed" in results[1].message
    assert await stored(table) == [1, 3]


async def test_missing_row_fails_that_function_alone(table: Database) -> None:
    def read_missing(connection: Connection) -> Any:
        return connection.execute(text("SELECT * FROM written WHERE number = 99")).one()

    results = await write_group(table, insert(1), read_missing, insert(3))
    assert isinstance(results[1], DatabaseError)
    assert await stored(table) == [1, 3]


async def test_database_failure_fails_the_whole_group(table: Database) -> None:
    results = await write_group(table, insert(1), insert(2, "INSERT INTO nowhere VALUES (1)"), insert(3))
    assert [type(result) for result in results] == [DatabaseError] * 3
    assert await stored(table) == []
    assert await table.write(insert(4)) == 4


async def test_rollback_by_sqlite_itself_fails_the_whole_group(table: Database) -> None:
    """A conflict with ON CONFLICT ROLLBACK discards the transaction, and an IntegrityError reports it."""
    broken = insert(2, "INSERT OR ROLLBACK INTO written VALUES (2)")
    results = await write_group(table, insert(1), broken, insert(3))
    assert [type(result) for result in results] == [DatabaseError] * 3
    assert await stored(table) == []
    assert await table.write(insert(4)) == 4


async def test_failed_commit_fails_every_write(table: Database) -> None:
    """Deferred constraints are checked by the commit."""
    for statement in (
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)",
    ):
        await table.write(lambda connection, statement=statement: connection.execute(text(statement)))  # type: ignore[misc]
    own = ValueError()
    results = await write_group(table, insert(1), insert(2, "INSERT INTO child VALUES (7)"), insert(3, own))
    assert [type(result) for result in results] == [DatabaseError] * 3
    assert "FOREIGN KEY constraint failed" in results[0].message
    assert await stored(table) == []
    assert await table.write(insert(4)) == 4


async def test_cancelled_before_it_begins_writes_nothing(table: Database, statements: list[str]) -> None:
    async with busy_writer(table):
        tasks = [asyncio.create_task(table.write(insert(number))) for number in range(WRITERS)]
        await asyncio.sleep(0)
        for task in tasks[1::2]:
            task.cancel()
        await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [int, asyncio.CancelledError] * (WRITERS // 2)
    assert await stored(table) == list(range(0, WRITERS, 2))
    assert statements == ["BEGIN IMMEDIATE", "COMMIT"] * 2


async def test_queue_of_only_cancelled_writes_begins_nothing(table: Database, statements: list[str]) -> None:
    async with busy_writer(table):
        task = asyncio.create_task(table.write(insert(1)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await stored(table) == []
    assert statements == ["BEGIN IMMEDIATE", "COMMIT"]
    assert await table.write(insert(2)) == 2


async def test_cancelled_after_it_began_is_committed(table: Database) -> None:
    started, end = threading.Event(), threading.Event()

    def slow(connection: Connection) -> int:
        started.set()
        assert end.wait(TIMEOUT_SECONDS)
        return insert(1)(connection)

    async with busy_writer(table):
        tasks = [asyncio.create_task(table.write(work)) for work in (slow, insert(2))]
        await asyncio.sleep(0)
    assert await asyncio.to_thread(started.wait, TIMEOUT_SECONDS)
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    end.set()
    assert await tasks[1] == 2
    assert await stored(table) == [1, 2]


async def test_writes_of_several_event_loops_are_all_reported(table: Database) -> None:
    async def write_all(first: int) -> list[int]:
        numbers = range(first, first + WRITERS)
        return await asyncio.gather(*(table.write(insert(number)) for number in numbers))

    loops = (asyncio.to_thread(asyncio.run, write_all(first)) for first in range(0, 4 * WRITERS, WRITERS))
    async with asyncio.timeout(TIMEOUT_SECONDS):
        results = await asyncio.gather(*loops)
    assert [number for result in results for number in result] == list(range(4 * WRITERS))
    assert sorted(await stored(table)) == list(range(4 * WRITERS))


async def test_event_loop_that_is_closed_stops_no_other_writer(table: Database) -> None:
    """Its write is of the same group as those of a loop that goes on."""

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(table.write(insert(1)), 0.01)

    async with busy_writer(table):
        tasks = [asyncio.create_task(table.write(insert(number))) for number in (2, 3)]
        await asyncio.sleep(0)
        await asyncio.to_thread(asyncio.run, give_up())
    async with asyncio.timeout(TIMEOUT_SECONDS):
        assert await asyncio.gather(*tasks) == [2, 3]
        assert await table.write(insert(4)) == 4
    assert await stored(table) == [2, 3, 4]


@pytest.mark.usefixtures("database_url")
async def test_call_without_a_thread_is_refused_and_the_next_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may start no more threads for a while (RLIMIT_NPROC); executors keep what they did not start."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'threads.db'}"
    database = Database(url)
    with sqlite3.connect(tmp_path / "threads.db") as connection:
        connection.execute("CREATE TABLE written (number INTEGER PRIMARY KEY)")
    connection.close()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", refuse)
        for call in (database.write(insert(1)), stored(database)):
            with pytest.raises(DatabaseError, match="was not asked: can't start new thread") as caught:
                await call
            assert "ulimit -u" in caught.value.hint
    async with asyncio.timeout(TIMEOUT_SECONDS):
        assert await database.write(insert(2)) == 2
        assert await stored(database) == [2]
        await database.close()


def roll_back(connection: Connection) -> None:
    connection.rollback()


def hide_rollback(connection: Connection) -> None:
    insert(2)(connection)
    with contextlib.suppress(IntegrityError):
        connection.execute(text("INSERT OR ROLLBACK INTO written VALUES (2)"))


@pytest.mark.parametrize("work", [roll_back, hide_rollback])
async def test_function_that_ends_the_transaction_fails_the_whole_group(table: Database, work: Work[None]) -> None:
    results = await write_group(table, insert(1), work, insert(3))
    assert [type(result) for result in results] == [DatabaseError] * 3
    assert await stored(table) == []
    with pytest.raises(DatabaseError):
        await table.write(work)
    assert await table.write(insert(4)) == 4
    assert await stored(table) == [4]


async def test_close_commits_the_queue_and_rejects_later_calls(table: Database, tmp_path: Path) -> None:
    async with busy_writer(table):
        tasks = [asyncio.create_task(table.write(insert(number))) for number in range(MAX_GROUP_SIZE + 1)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(table.close())
        await asyncio.sleep(0)
    await closing
    assert await asyncio.gather(*tasks) == list(range(MAX_GROUP_SIZE + 1))
    for call in (table.write, table.read):
        with pytest.raises(DatabaseError, match="is closed"):
            await call(insert(99))
    await table.close()  # idempotent
    reopened = Database(f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    assert await stored(reopened) == list(range(MAX_GROUP_SIZE + 1))
    await reopened.close()


@pytest.mark.usefixtures("database_url")
async def test_database_in_memory_is_one_database() -> None:
    database = Database("sqlite+aiosqlite://")
    await migrate.upgrade(database)
    query = text("SELECT count(*) FROM events")
    counts = await asyncio.gather(
        *(database.read(lambda connection: connection.execute(query).scalar()) for _ in range(9))
    )
    assert counts == [0] * 9
    await database.close()


class SlowStatement:
    """A statement that ends only after the event loop has called `end`; its result is 0 if the loop never does."""

    def __init__(self) -> None:
        self._started, self._ended = threading.Event(), threading.Event()

    def __call__(self, connection: Connection) -> int:
        driver: Any = connection.connection.driver_connection
        driver.create_function("wait_for_the_loop", 0, self._wait)
        return int(connection.execute(text("SELECT wait_for_the_loop()")).scalar_one())

    def _wait(self) -> bool:
        self._started.set()
        return self._ended.wait(TIMEOUT_SECONDS)

    async def started(self) -> None:
        assert await asyncio.to_thread(self._started.wait, TIMEOUT_SECONDS)

    def end(self) -> None:
        self._ended.set()


@pytest.mark.parametrize("operation", ["read", "write"])
async def test_slow_statement_does_not_delay_the_event_loop(table: Database, operation: str) -> None:
    statement = SlowStatement()
    call = asyncio.create_task(getattr(table, operation)(statement))
    await statement.started()
    statement.end()
    assert await call == 1


async def test_slow_read_delays_neither_reads_nor_writes(table: Database) -> None:
    statement = SlowStatement()
    slow = asyncio.create_task(table.read(statement))
    await statement.started()
    assert await table.write(insert(1)) == 1
    assert await stored(table) == [1]
    statement.end()
    assert await slow == 1


@pytest.mark.parametrize("end", [Connection.close, Connection.invalidate])
async def test_function_that_closes_its_connection_fails_the_whole_group(
    table: Database, end: Callable[[Connection], None]
) -> None:
    results = await write_group(table, insert(1), end, insert(3))
    assert [type(result) for result in results] == [DatabaseError] * 3
    assert await stored(table) == []
    assert await table.write(insert(4)) == 4
