"""When the service last did what it does regularly, and since when Argil fails."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, delete, select, update

from models.clock import Clock
from models.tables import observation_table
from store.database import Database
from store.upsert import insert_or_ignore


class Observation(StrEnum):
    """What is observed: one row of the ledger each."""

    RECONCILED = "reconciled"
    """A run of `reconcile-avatars` ended, within its time budget."""
    ARGIL_LISTED = "argil-listed"
    """Argil answered with the account's list of avatars."""
    ARGIL_DEGRADED = "argil-degraded"
    """Argil failed for the first time since it last answered; without a row it answers."""


class ObservationRepository:
    """Records and reads the time of each observation. Raises DatabaseError if the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def record(self, observation: Observation) -> None:
        """Store the current time as the latest one of this observation."""
        values = {"observed_at": self._clock.now()}
        table = observation_table
        statement = insert_or_ignore(table, is_sqlite=self._database.is_sqlite)

        def write(connection: Connection) -> None:
            changed = connection.execute(update(table).where(table.c.name == observation).values(values))
            if not changed.rowcount:
                connection.execute(statement, {"name": observation, **values})

        await self._database.write(write)

    async def begin(self, observation: Observation) -> bool:
        """Store the current time unless there is one; return whether there was none, to one of many callers."""
        statement = insert_or_ignore(observation_table, is_sqlite=self._database.is_sqlite)
        values = {"name": observation, "observed_at": self._clock.now()}
        row = await self._database.write(lambda connection: connection.execute(statement, values).one_or_none())
        return row is not None

    async def end(self, observation: Observation) -> datetime | None:
        """Delete the time of this observation and return it; None if there is none or another caller deleted it."""
        table = observation_table
        statement = delete(table).where(table.c.name == observation).returning(table.c.observed_at)
        return await self._database.write(lambda connection: connection.execute(statement).scalar_one_or_none())

    async def read_all(self) -> dict[Observation, datetime]:
        """Return the time of each observation that was made."""
        rows = await self._database.read(lambda connection: connection.execute(select(observation_table)).all())
        return {Observation(row.name): row.observed_at for row in rows}
