"""Seeds an empty ledger with provisionings in TRAINING, each with an avatar that a simulated account has."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection

from benchmarks.seed_ledger import insert_provisionings, maintain, seeded_row
from models.argil.avatar import AvatarStatus
from models.provisioning import Status
from store import migrate
from store.database import Database

ROWS_PER_TRANSACTION = 2_000


def training_submission_id(number: int) -> str:
    """Return the submission id of a training by its number: a random UUID in form, as those of real submissions."""
    return str(uuid.UUID(int=number, version=4))


async def seed_trainings(url: str, avatar_ids: Sequence[str]) -> None:
    """Seed an empty database with one provisioning per avatar id, without a lease, and vacuum it."""
    now = datetime.now(UTC)

    def insert_page(connection: Connection, start: int) -> None:
        page = avatar_ids[start : start + ROWS_PER_TRANSACTION]
        rows = [
            seeded_row(training_submission_id(number), Status.TRAINING, now)
            | {"avatar_id": avatar_id, "raw_status": AvatarStatus.TRAINING}
            for number, avatar_id in enumerate(page, start)
        ]
        insert_provisionings(connection, rows, now)

    database = Database(url)
    try:
        await migrate.upgrade(database)
        for start in range(0, len(avatar_ids), ROWS_PER_TRANSACTION):
            await database.write(partial(insert_page, start=start))
        await maintain(database)
    finally:
        await database.close()
