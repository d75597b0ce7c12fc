"""The suspended Prefect runs and the provisionings that they wait for."""

from __future__ import annotations

from sqlalchemy import delete, select

from models.clock import Clock
from models.provisioning import Status
from models.tables import provisioning_table, suspended_run_table
from store.database import Database
from store.upsert import insert_or_ignore


class SuspendedRunRepository:
    """Reads and writes suspended runs. Every method raises DatabaseError if the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, flow_run_id: str, provisioning_id: str) -> None:
        """Record that a run is about to suspend itself; idempotent."""
        statement = insert_or_ignore(suspended_run_table, is_sqlite=self._database.is_sqlite)
        values = {"flow_run_id": flow_run_id, "provisioning_id": provisioning_id, "suspended_at": self._clock.now()}
        await self._database.write(lambda connection: connection.execute(statement, values).all())

    async def exists(self, flow_run_id: str) -> bool:
        """Return whether this run has suspended itself before: if so, it was resumed and not just started."""
        query = select(suspended_run_table.c.flow_run_id).where(suspended_run_table.c.flow_run_id == flow_run_id)
        return await self._database.read(lambda connection: connection.execute(query).one_or_none() is not None)

    async def provisioning_id_of(self, flow_run_id: str) -> str:
        """Return the id of the provisioning that a recorded run waits for."""
        query = select(suspended_run_table.c.provisioning_id).where(
            suspended_run_table.c.flow_run_id == flow_run_id
        )
        return await self._database.read(lambda connection: connection.execute(query).scalar_one())

    async def remove(self, flow_run_id: str) -> None:
        """Delete the record of a run that has ended."""
        await self._database.write(
            lambda connection: connection.execute(
                delete(suspended_run_table).where(suspended_run_table.c.flow_run_id == flow_run_id)
            )
        )

    async def list_with_terminal_provisioning(self) -> list[str]:
        """Return the ids of the recorded runs whose provisioning is terminal, the longest suspended first."""
        in_flight = [status for status in Status if not status.is_terminal]
        query = (
            select(suspended_run_table.c.flow_run_id)
            .join(provisioning_table, provisioning_table.c.id == suspended_run_table.c.provisioning_id)
            # `NOT IN` instead of `IN terminal`: with the latter SQLite starts from the index of all terminal
            # provisionings.
            .where(provisioning_table.c.status.not_in(in_flight))
            .order_by(suspended_run_table.c.suspended_at)
        )
        return await self._database.read(lambda connection: list(connection.scalars(query)))
