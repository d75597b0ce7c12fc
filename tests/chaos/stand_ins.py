"""What stands in, inside of this process, for time, threads, sockets and Prefect."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import prefect
import pytest
from prefect.exceptions import ObjectNotFound
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from clients.argil import ArgilClient
from models.errors import DatabaseError
from store.database import Database
from store.deliveries import Deliveries
from store.sqlite_connection import SqliteConnection
from tasks.hints import Hints
from tests.chaos.conductor import CURRENT, next_id

BRIEF_SECONDS = 0.001
"""Shorter waits are the throttle's, at a rate that is none."""


class ConductedClock:
    """The clock of all processes: its sleeps are turns."""

    def now(self) -> datetime:
        return CURRENT.get().world.conductor.time

    def monotonic(self) -> float:
        return self.now().timestamp()

    async def sleep(self, seconds: float) -> None:
        if seconds > BRIEF_SECONDS:
            await CURRENT.get().world.conductor.park(f"sleep {seconds:g}", seconds)

    def jitter(self) -> float:
        return 1.0


_ENGINES: dict[str, AsyncEngine] = {}
"""They keep the statements that they compiled. No two transactions overlap, so processes may share one."""


class SharedDatabase(Database):
    """The ledger's database as all processes and the test itself share it: one engine for each file."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        own = self.engine
        self.engine = _ENGINES.setdefault(url, own)
        if self.engine is own:

            @event.listens_for(own.sync_engine, "connect")
            def unsynced(connection: Any, _record: Any) -> None:
                connection.cursor().execute("PRAGMA synchronous = OFF")  # processes die here, not machines

    async def close(self) -> None:
        """Leave the engine to the others; the world closes it."""


class CrashableDatabase(SharedDatabase):
    """With a point before each transaction, and around the commit of those that write."""

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        await CURRENT.get().world.conductor.park(f"{_caller()}: not read")
        async with super().reading() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        world, what = CURRENT.get().world, _caller()
        await world.conductor.park(f"{what}: not begun")
        if world.ledger_fails > 0:
            world.ledger_fails -= 1
            raise DatabaseError("the disk is full")
        async with super().writing() as connection:
            yield connection
            world.conductor.point(f"{what}: not committed")
        world.conductor.point(f"{what}: committed")


def _caller() -> str:
    """Return the name of the method that opens a transaction: above this, its context manager and contextlib."""
    return sys._getframe(3).f_code.co_name


async def _at_once(_connection: SqliteConnection, work: Callable[[], Any]) -> Any:
    """Stand in for the thread of a connection: no turn depends on a thread's speed."""
    return work()


class NoMedia:
    """Stands in for MediaChecker, which is off here."""

    def __init__(self, **_: object) -> None:
        pass

    def __enter__(self) -> NoMedia:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class NoRuns:
    """Stands in for Prefect's client: nothing here is a run."""

    async def __aenter__(self) -> NoRuns:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def read_flow_run(self, run_id: UUID) -> None:
        raise ObjectNotFound(LookupError(run_id))

    async def read_flow_runs(self, **_: object) -> list[object]:
        return []


def _client(api_url: str, api_key: str, **options: Any) -> ArgilClient:
    return ArgilClient(api_url, api_key, transport=CURRENT.get().world.line, **options)


def _hints(deliveries: Deliveries) -> Hints:
    """Ask for deliveries once: real time would drive the questions after that."""

    async def forever(_seconds: float) -> None:
        await asyncio.Event().wait()

    return Hints(deliveries, between_polls=forever)


@contextlib.asynccontextmanager
async def _in_use() -> AsyncIterator[Any]:
    """Share one runtime a process, where tasks.runtime shares one an event loop."""
    yield CURRENT.get().shared


async def _nothing(*_: object, **__: object) -> None:
    pass


def _plain(decorated: Any, *args: Any, **options: Any) -> Any:
    return decorated.fn(*args, **options)


def without_prefect(patch: pytest.MonkeyPatch) -> None:
    """Let flows and tasks be the plain functions that they are made of, and nothing be a run."""
    patch.setattr(prefect.Task, "__call__", _plain)
    patch.setattr(prefect.Flow, "__call__", _plain)
    for name, stand_in in {
        "get_client": NoRuns,
        "emit_event": lambda **_: None,
        "acreate_markdown_artifact": _nothing,
    }.items():
        for module in [one for key, one in sys.modules.items() if key.startswith("tasks.") and hasattr(one, name)]:
            patch.setattr(module, name, stand_in)


def install(patch: pytest.MonkeyPatch) -> None:
    """Put all of them in place."""
    without_prefect(patch)
    patch.setattr("uuid.uuid4", next_id)
    patch.setattr(SqliteConnection, "in_thread", _at_once)
    patch.setattr("store.migration.prepare", _nothing)  # each world copies a ledger that has its tables
    for name, stand_in in {
        "ArgilClient": _client,
        "Database": CrashableDatabase,
        "MediaChecker": NoMedia,
        "Hints": _hints,
        "_in_use": _in_use,
    }.items():
        patch.setattr(f"tasks.runtime.{name}", stand_in)
