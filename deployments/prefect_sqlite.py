"""Lets the SQLite database of an embedded Prefect server take many writers: a SQLAlchemy plugin its URL names.

Prefect begins a transaction that will write as a reading one. If another writes before it does, SQLite refuses it
at once ("database is locked"), the server answers 503 and its client waits 2, 4, 8, 16 and 32 seconds. And a
request that holds the write lock may ask for a second connection: where the pool's 15 all wait for that lock,
none moves for a minute.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.engine import CreateEnginePlugin
from sqlalchemy.pool import Pool

UNLIMITED = -1


class ManyWriters(CreateEnginePlugin):
    """Writers take the lock when they begin, waiting for it in turn, and no connection is ever waited for."""

    def update_url(self, url: URL) -> URL:
        """Take nothing from the URL: the plugin's name is all that it adds, and SQLAlchemy takes that."""
        return url

    def handle_pool_kwargs(self, pool_cls: type[Pool], pool_args: dict[str, Any]) -> None:  # noqa: ARG002
        """Open connections beyond the pool's own size as they are asked for; they are closed after use."""
        pool_args["max_overflow"] = UNLIMITED

    def engine_created(self, engine: Engine) -> None:
        """Have each transaction that is begun take the write lock; what only reads begins none."""

        @event.listens_for(engine, "before_cursor_execute", retval=True)
        def at_once(
            _connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any
        ) -> tuple[str, Any]:
            return ("BEGIN IMMEDIATE" if statement == "BEGIN DEFERRED" else statement), parameters
