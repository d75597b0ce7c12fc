"""PostgreSQL: SQLAlchemy's asyncio engine over asyncpg, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from models.environment.database_url import DatabaseUrl
from store.compaction import POSTGRESQL_REMAINS, vacuum_statements
from store.group_commit import Result, Work
from store.loop_thread import LoopThread

LOCK_TIMEOUT_SECONDS = 30
"""How long a writer waits for a row that another session has locked; then that is a DatabaseError."""
CONNECT_TIMEOUT_SECONDS = 10
"""A bound, so that a wrong address does not look like a hang."""
CLOSE_TIMEOUT_SECONDS = 5
"""How long the server has to answer when a connection is closed; then the connection is dropped."""
POOL_SIZE = 15
"""Connections per process, all kept: opening one costs more than the transaction it is opened for."""


class PostgresqlBackend:
    """Runs functions over a synchronous SQLAlchemy Connection with AsyncConnection.run_sync."""

    def __init__(self, url: DatabaseUrl) -> None:
        """Prepare the engine; nothing is opened yet."""
        self._engine = create_async_engine(
            url.url,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=POOL_SIZE,
            max_overflow=0,
            connect_args={"timeout": CONNECT_TIMEOUT_SECONDS, **url.connect_args},
        )
        self.engine = self._engine.sync_engine
        self._thread = LoopThread("postgresql")

        @event.listens_for(self.engine, "connect")
        def connect(connection: Any, _record: Any) -> None:
            cursor = connection.cursor()
            cursor.execute(f"SET lock_timeout = {int(LOCK_TIMEOUT_SECONDS * 1000)}")
            cursor.close()
            connection.commit()  # otherwise the first rollback undoes it

        @event.listens_for(self.engine, "handle_error")
        def handle_error(context: ExceptionContext) -> None:
            # SQLAlchemy does not wrap the OSError of a broken connection. A function may raise an OSError of its
            # own, so Database must be able to distinguish them.
            if isinstance(context.original_exception, OSError):
                raise OperationalError(None, None, context.original_exception)

    async def read(self, work: Work[Result]) -> Result:
        """Run the work in a transaction that only reads."""
        return await self._thread.run(self._run(work))

    async def write(self, work: Work[Result]) -> Result:
        """Run the work in a transaction that writes; returns once it is committed."""
        return await self._thread.run(self._run(work))

    async def compact(self, tables: Sequence[str]) -> list[str]:
        """Remove dead rows from the tables; return the places that may still hold former contents."""
        return await self._thread.run(self._vacuum(tables))

    async def close(self) -> None:
        """Close every connection and end the thread."""
        await self._thread.run(self._dispose())
        await self._thread.close()

    async def _run(self, work: Work[Result]) -> Result:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def _vacuum(self, tables: Sequence[str]) -> list[str]:
        remaining = [POSTGRESQL_REMAINS]
        async with self._engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            for statement in vacuum_statements(tables):
                try:
                    await connection.exec_driver_sql(statement)
                except DBAPIError as error:  # for example a table that is locked
                    remaining.append(f"dead rows: `{statement}` failed: {error.orig}; run the same command again")
        return remaining

    async def _dispose(self) -> None:
        for _ in range(POOL_SIZE):
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await self._engine.dispose()
            except TimeoutError:
                continue  # asyncpg has dropped the connection that did not answer; the pool has one fewer
            return
