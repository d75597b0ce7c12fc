"""Which Prefect runs sleep over which provisionings."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from models.clock import Clock
from models.provisioning import Status
from models.tables import ProvisioningRow, SleeperRow
from store.database import Database


class Sleepers:
    """Adds, removes and finds. Every method raises DatabaseError where the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, flow_run_id: str, provisioning_id: str) -> None:
        """Record that a run is about to sleep; doing so again changes nothing."""
        engine = sqlite if self._database.is_sqlite else postgresql
        values = {"flow_run_id": flow_run_id, "provisioning_id": provisioning_id, "at": self._clock.now()}
        async with self._database.writing() as connection:
            await connection.execute(engine.insert(SleeperRow).values(values).on_conflict_do_nothing())

    async def has(self, flow_run_id: str) -> bool:
        """Whether this run has slept: then it was woken, and is not at its beginning."""
        query = select(SleeperRow.flow_run_id).where(SleeperRow.flow_run_id == flow_run_id)
        async with self._database.reading() as connection:
            return (await connection.execute(query)).one_or_none() is not None

    async def remove(self, flow_run_id: str) -> None:
        """Forget a run that has ended."""
        async with self._database.writing() as connection:
            await connection.execute(delete(SleeperRow).where(SleeperRow.flow_run_id == flow_run_id))

    async def over_ended(self) -> list[str]:
        """Return the ids of runs that sleep over what has ended: another driver, or a person, ended it."""
        in_flight = [status for status in Status if not status.is_end]
        query = (
            select(SleeperRow.flow_run_id)
            .join(ProvisioningRow, ProvisioningRow.id == SleeperRow.provisioning_id)
            # Not "in one of the ends": SQLite would begin with everything that has ever ended.
            .where(ProvisioningRow.status.not_in(in_flight))
            .order_by(SleeperRow.at)
        )
        async with self._database.reading() as connection:
            return list(await connection.scalars(query))
