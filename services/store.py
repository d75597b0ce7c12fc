"""Opens the ledger database.

Does not import Prefect, whose import takes over a second of CPU time: commands that only use the ledger need none.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from models.clock import Clock
from models.environment.database_url import parse_database_url
from models.settings import Settings
from store import migrate
from store.batches import BatchRepository
from store.database import Database
from store.leases import LeaseRepository
from store.ledger import Ledger
from store.limits import LimitRepository
from store.observations import ObservationRepository
from store.quarantine import QuarantineRepository
from store.suspended_runs import SuspendedRunRepository
from store.tick_leases import TickLeaseRepository
from store.unknown_avatars import UnknownAvatarRepository
from store.uploads import UploadRepository
from store.webhook_deliveries import WebhookDeliveryRepository


@dataclass(frozen=True)
class Store:
    """The ledger and the other repositories of one database."""

    ledger: Ledger
    leases: LeaseRepository
    quarantine: QuarantineRepository
    deliveries: WebhookDeliveryRepository
    suspended_runs: SuspendedRunRepository
    observations: ObservationRepository
    limits: LimitRepository
    batches: BatchRepository
    tick_leases: TickLeaseRepository
    unknown_avatars: UnknownAvatarRepository
    uploads: UploadRepository


def find_ledger_file(settings: Settings) -> Path | None:
    """Return the path of a SQLite ledger, None for PostgreSQL. Raises DatabaseError."""
    file = parse_database_url(settings.avatars_database_url.get_secret_value()).file
    return Path(file) if file else None


@contextlib.asynccontextmanager
async def open_store(settings: Settings, clock: Clock) -> AsyncIterator[Store]:
    """Open the database with its schema up to date; needs no API key. Raises DatabaseError."""
    # In a thread, because the first engine of a process imports its library.
    database = await asyncio.to_thread(Database, settings.avatars_database_url.get_secret_value())
    try:
        await migrate.ensure_schema(database)
        yield Store(
            ledger=Ledger(database, clock),
            leases=LeaseRepository(database, clock),
            quarantine=QuarantineRepository(database, clock),
            deliveries=WebhookDeliveryRepository(database, clock),
            suspended_runs=SuspendedRunRepository(database, clock),
            observations=ObservationRepository(database, clock),
            limits=LimitRepository(database, clock),
            batches=BatchRepository(database, clock),
            tick_leases=TickLeaseRepository(database, clock),
            unknown_avatars=UnknownAvatarRepository(database, clock),
            uploads=UploadRepository(database, clock),
        )
    finally:
        await database.close()
