"""Takes what names a person out of the ledger; what happened, and when, stays."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Update, case, insert, select, update

from models.archive import ARCHIVER
from models.clock import Clock
from models.errors import StaleVersion
from models.forgetting import FORGOTTEN, Remains
from models.provisioning import Driver, Provisioning
from models.tables import DeliveryRow, DuplicateRow, EventRow, ProvisioningRow, QuarantineRow, SubmissionRow
from store.database import Database


async def forget(database: Database, clock: Clock, seen: Provisioning, driver: Driver, why: str) -> Remains:
    """Blank name, URLs, extras and every text that may hold them; returns what is left elsewhere.

    Identities stay as digests: the same reference and request still attach, and refused recordings stay out. It is
    for the caller to know that the provisioning has ended. Raises StaleVersion where another driver wrote since
    `seen` was read, DatabaseError.
    """
    now = clock.now()
    async with database.writing() as connection:
        if (await connection.execute(_blank(seen, now))).rowcount == 0:
            raise StaleVersion(f"provisioning {seen.id} was changed by another driver")
        avatars = {seen.avatar_id}
        for table in (SubmissionRow, DuplicateRow):
            query = select(table.avatar_id).where(table.provisioning_id == seen.id)
            avatars.update((await connection.execute(query)).scalars())
        runs = {seen.flow_run_id}
        query = select(EventRow.flow_run_id).where(EventRow.provisioning_id == seen.id)
        runs.update((await connection.execute(query)).scalars())
        archived = select(EventRow.why).where(EventRow.provisioning_id == seen.id, EventRow.actor == ARCHIVER)
        remains = Remains(
            avatar_ids=sorted(one for one in avatars if one),
            flow_run_ids=sorted(one for one in runs if one),
            archives=list((await connection.execute(archived.order_by(EventRow.id))).scalars()),
        )
        for statement in (
            update(EventRow)
            .where(EventRow.provisioning_id == seen.id, EventRow.actor != ARCHIVER)
            .values(why=FORGOTTEN),
            update(SubmissionRow).where(SubmissionRow.provisioning_id == seen.id).values(answer=None),
            update(QuarantineRow)
            .where(QuarantineRow.provisioning_id == seen.id)
            .values(
                input_identity=FORGOTTEN,
                released_why=case((QuarantineRow.released_why.is_not(None), FORGOTTEN), else_=None),
            ),
            update(DeliveryRow).where(DeliveryRow.avatar_id.in_(remains.avatar_ids)).values(body="{}"),
            insert(EventRow).values(
                provisioning_id=seen.id,
                at=now,
                actor=driver.actor,
                from_status=seen.status,
                to_status=seen.status,
                why=why,
                flow_run_id=driver.flow_run_id,
            ),
        ):
            await connection.execute(statement)
    return remains


def _blank(seen: Provisioning, now: datetime) -> Update:
    return (
        update(ProvisioningRow)
        .where(ProvisioningRow.id == seen.id, ProvisioningRow.version == seen.version)
        .values(
            request={"name": FORGOTTEN, "dataset_video": "", "consent_video": "", "extras": {}},
            reasons=[{"code": reason.code, "message": FORGOTTEN, "hint": ""} for reason in seen.reasons],
            avatar=None,
            version=seen.version + 1,
            updated_at=now,
            forgotten_at=now,
        )
    )
