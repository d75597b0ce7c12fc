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
    ARGIL_RECOVERED = "argil-recovered"
    """Argil answered for the first time after it failed."""


class ObservationRepository:
    """Records and reads the time of each observation. Raises DatabaseError if the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def record(self, observation: Observation) -> None:
        """Store the current time as the latest one of this observation."""
        await self._database.write(lambda connection: self._store(connection, observation))

    async def begin(self, observation: Observation) -> bool:
        """Store the current time unless there is one; return whether there was none, to one of many callers."""
        statement = insert_or_ignore(observation_table, is_sqlite=self._database.is_sqlite)
        values = {"name": observation, "observed_at": self._clock.now()}
        row = await self._database.write(lambda connection: connection.execute(statement, values).one_or_none())
        return row is not None

    async def end(self, observation: Observation, *, recorded_as: Observation) -> datetime | None:
        """Delete the time of this observation, and store the current time as that of another one.

        Returns:
            The deleted time; None if there is none or another caller deleted it, and then nothing is stored.

        """
        table = observation_table
        statement = delete(table).where(table.c.name == observation).returning(table.c.observed_at)

        def write(connection: Connection) -> datetime | None:
            since: datetime | None = connection.execute(statement).scalar_one_or_none()
            if since is not None:
                self._store(connection, recorded_as)
            return since

        return await self._database.write(write)

    async def read_all(self) -> dict[Observation, datetime]:
        """Return the time of each observation that was made."""
        rows = await self._database.read(lambda connection: connection.execute(select(observation_table)).all())
        return {Observation(row.name): row.observed_at for row in rows}

    def _store(self, connection: Connection, observation: Observation) -> None:
        values = {"observed_at": self._clock.now()}
        table = observation_table
        changed = connection.execute(update(table).where(table.c.name == observation).values(values))
        if not changed.rowcount:
            statement = insert_or_ignore(table, is_sqlite=self._database.is_sqlite)
            connection.execute(statement, {"name": observation, **values})
