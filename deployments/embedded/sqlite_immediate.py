"""A SQLAlchemy plugin that lets the SQLite database of an embedded Prefect server accept concurrent writers.

The database URL names the plugin. It works around two problems:

- Prefect starts write transactions with BEGIN DEFERRED. If another transaction writes first, SQLite fails the
  upgrade at once ("database is locked"). The server responds with 503, and its client backs off for 2, 4, 8, 16
  and 32 seconds.
- A request that holds the write lock may need a second connection. If all 15 connections of the pool wait for that
  lock, the server is deadlocked for a minute.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.engine import CreateEnginePlugin
from sqlalchemy.pool import Pool

UNLIMITED_OVERFLOW = -1


class ImmediateTransactionsPlugin(CreateEnginePlugin):
    """Starts write transactions with BEGIN IMMEDIATE and removes the upper bound of the connection pool."""

    def update_url(self, url: URL) -> URL:
        """Return the URL unchanged. SQLAlchemy itself removes the plugin's name from it."""
        return url

    def handle_pool_kwargs(self, pool_cls: type[Pool], pool_args: dict[str, Any]) -> None:  # noqa: ARG002
        """Allow connections beyond the size of the pool. They are closed after use."""
        pool_args["max_overflow"] = UNLIMITED_OVERFLOW

    def engine_created(self, engine: Engine) -> None:
        """Replace BEGIN DEFERRED with BEGIN IMMEDIATE. Prefect does not begin a transaction to read only."""

        @event.listens_for(engine, "before_cursor_execute", retval=True)
        def begin_immediate(
            _connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any
        ) -> tuple[str, Any]:
            return ("BEGIN IMMEDIATE" if statement == "BEGIN DEFERRED" else statement), parameters
