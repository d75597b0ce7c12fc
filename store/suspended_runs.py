"""The suspended Prefect runs and the provisionings that they wait for."""

from __future__ import annotations

from typing import cast

from sqlalchemy import Table, delete, select

from models.clock import Clock
from models.provisioning import Status
from models.tables import ProvisioningRow, SuspendedRunRow
from store.database import Database
from store.upsert import insert_or_ignore

_SUSPENDED_RUNS = cast("Table", SuspendedRunRow.__table__)


class SuspendedRunRepository:
    """Reads and writes suspended runs. Every method raises DatabaseError if the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, flow_run_id: str, provisioning_id: str) -> None:
        """Record that a run is about to suspend itself; idempotent."""
        statement = insert_or_ignore(_SUSPENDED_RUNS, is_sqlite=self._database.is_sqlite)
        values = {"flow_run_id": flow_run_id, "provisioning_id": provisioning_id, "suspended_at": self._clock.now()}
        await self._database.write(lambda connection: connection.execute(statement, values).all())

    async def exists(self, flow_run_id: str) -> bool:
        """Return whether this run has suspended itself before: if so, it was resumed and not just started."""
        query = select(SuspendedRunRow.flow_run_id).where(SuspendedRunRow.flow_run_id == flow_run_id)
        return await self._database.read(lambda connection: connection.execute(query).one_or_none() is not None)

    async def remove(self, flow_run_id: str) -> None:
        """Delete the record of a run that has ended."""
        await self._database.write(
            lambda connection: connection.execute(
                delete(SuspendedRunRow).where(SuspendedRunRow.flow_run_id == flow_run_id)
            )
        )

    async def list_with_terminal_provisioning(self) -> list[str]:
        """Return the ids of the recorded runs whose provisioning is terminal, the longest suspended first."""
        in_flight = [status for status in Status if not status.is_terminal]
        query = (
            select(SuspendedRunRow.flow_run_id)
            .join(ProvisioningRow, ProvisioningRow.id == SuspendedRunRow.provisioning_id)
            # `NOT IN` instead of `IN terminal`: with the latter SQLite starts from the index of all terminal
            # provisionings.
            .where(ProvisioningRow.status.not_in(in_flight))
            .order_by(SuspendedRunRow.suspended_at)
        )
        return await self._database.read(lambda connection: list(connection.scalars(query)))
