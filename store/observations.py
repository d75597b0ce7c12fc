"""When the service last did what it does regularly, so that `avatars doctor` can tell whether it stopped."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, select, update

from models.clock import Clock
from models.tables import observation_table
from store.database import Database
from store.upsert import insert_or_ignore


class Observation(StrEnum):
    """What is observed: one row of the ledger each."""

    RECONCILED = "reconciled"
    """A run of `reconcile-avatars` went through the whole ledger."""
    ARGIL_LISTED = "argil-listed"
    """Argil answered with the account's list of avatars."""


class ObservationRepository:
    """Records and reads the latest time of each observation. Raises DatabaseError if the database fails."""

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

    async def read_all(self) -> dict[Observation, datetime]:
        """Return the latest time of each observation that was ever made."""
        rows = await self._database.read(lambda connection: connection.execute(select(observation_table)).all())
        return {Observation(row.name): row.observed_at for row in rows}
