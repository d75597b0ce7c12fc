"""A SQLAlchemy plugin for the SQLite database of an embedded Prefect server: concurrent writers, and valid JSON.

The database URL names the plugin. It works around three problems:

- Prefect starts write transactions with BEGIN DEFERRED. If another transaction writes first, SQLite fails the
  upgrade at once ("database is locked"). The server responds with 503, and its client backs off for 2, 4, 8, 16
  and 32 seconds.
- A request that holds the write lock may need a second connection. If all 15 connections of the pool wait for that
  lock, the server is deadlocked for a minute.
- Prefect parses JSON text in parameters after RequestGuard has checked the body, for example in the value of a
  variable. SQLite stores lone surrogates, and every later read of the row fails. PostgreSQL rejects them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, event
from sqlalchemy.engine import CreateEnginePlugin
from sqlalchemy.pool import Pool

from models.text.storable_json import dump_storable_json

UNLIMITED_OVERFLOW = -1


class ImmediateTransactionsPlugin(CreateEnginePlugin):
    """Starts write transactions with BEGIN IMMEDIATE, unbounds the pool, and writes only storable JSON."""

    def update_url(self, url: URL) -> URL:
        """Return the URL unchanged. SQLAlchemy itself removes the plugin's name from it."""
        return url

    def handle_pool_kwargs(self, pool_cls: type[Pool], pool_args: dict[str, Any]) -> None:  # noqa: ARG002
        """Allow connections beyond the size of the pool. They are closed after use."""
        pool_args["max_overflow"] = UNLIMITED_OVERFLOW

    def handle_dialect_kwargs(self, dialect_cls: type[Dialect], dialect_args: dict[str, Any]) -> None:  # noqa: ARG002
        """Let a statement fail, and its transaction with it, if one of its JSON values is not storable."""
        dialect_args["json_serializer"] = dump_storable_json

    def engine_created(self, engine: Engine) -> None:
        """Replace BEGIN DEFERRED with BEGIN IMMEDIATE. Prefect does not begin a transaction to read only."""

        @event.listens_for(engine, "before_cursor_execute", retval=True)
        def begin_immediate(
            _connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any
        ) -> tuple[str, Any]:
            return ("BEGIN IMMEDIATE" if statement == "BEGIN DEFERRED" else statement), parameters
