"""Erases personal data from the ledger; statuses, timestamps and digests remain."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Update, case, insert, select, update

from models.archive import ARCHIVE_ACTOR
from models.clock import Clock
from models.erasure import ERASED_PLACEHOLDER, ErasureReport
from models.errors import StaleVersion
from models.provisioning import LeaseOwner, Provisioning
from models.tables import (
    duplicate_table,
    event_table,
    provisioning_table,
    quarantine_table,
    submission_table,
    webhook_delivery_table,
)
from store.database import Database


async def erase(
    database: Database, clock: Clock, provisioning: Provisioning, owner: LeaseOwner, message: str
) -> ErasureReport:
    """Erase name, URLs, extras and every text that may contain them.

    Identities remain as digests, so the same reference and request still attach, and refused recordings
    remain in quarantine. The caller checks that the provisioning is terminal.

    Returns:
        What remains outside the ledger: avatars at Argil, Prefect runs and archives.

    Raises:
        StaleVersion: Another owner changed the provisioning since it was read.
        DatabaseError: The database failed.
    """
    now = clock.now()

    def blank(connection: Connection) -> ErasureReport:
        if connection.execute(_erase_statement(provisioning, now)).rowcount == 0:
            raise StaleVersion(f"provisioning {provisioning.id} was changed by another owner")
        avatar_ids = {provisioning.avatar_id}
        for table in (submission_table, duplicate_table):
            query = select(table.c.avatar_id).where(table.c.provisioning_id == provisioning.id)
            avatar_ids.update(connection.execute(query).scalars())
        flow_run_ids = {provisioning.flow_run_id}
        query = select(event_table.c.flow_run_id).where(event_table.c.provisioning_id == provisioning.id)
        flow_run_ids.update(connection.execute(query).scalars())
        archive_messages = select(event_table.c.message).where(
            event_table.c.provisioning_id == provisioning.id, event_table.c.actor == ARCHIVE_ACTOR
        )
        report = ErasureReport(
            avatar_ids=sorted(avatar_id for avatar_id in avatar_ids if avatar_id),
            flow_run_ids=sorted(flow_run_id for flow_run_id in flow_run_ids if flow_run_id),
            archives=list(connection.execute(archive_messages.order_by(event_table.c.id)).scalars()),
        )
        for statement in (
            update(event_table)
            .where(event_table.c.provisioning_id == provisioning.id, event_table.c.actor != ARCHIVE_ACTOR)
            .values(message=ERASED_PLACEHOLDER),
            update(submission_table)
            .where(submission_table.c.provisioning_id == provisioning.id)
            .values(response=None),
            update(quarantine_table)
            .where(quarantine_table.c.provisioning_id == provisioning.id)
            .values(
                input_identity=ERASED_PLACEHOLDER,
                release_reason=case(
                    (quarantine_table.c.release_reason.is_not(None), ERASED_PLACEHOLDER), else_=None
                ),
            ),
            update(webhook_delivery_table)
            .where(webhook_delivery_table.c.avatar_id.in_(report.avatar_ids))
            .values(body="{}"),
            insert(event_table).values(
                provisioning_id=provisioning.id,
                occurred_at=now,
                actor=owner.actor,
                from_status=provisioning.status,
                to_status=provisioning.status,
                message=message,
                flow_run_id=owner.flow_run_id,
            ),
        ):
            connection.execute(statement)
        return report

    return await database.write(blank)


def _erase_statement(provisioning: Provisioning, now: datetime) -> Update:
    return (
        update(provisioning_table)
        .where(provisioning_table.c.id == provisioning.id, provisioning_table.c.version == provisioning.version)
        .values(
            request={"name": ERASED_PLACEHOLDER, "dataset_video": "", "consent_video": "", "extras": {}},
            reasons=[
                {"code": reason.code, "message": ERASED_PLACEHOLDER, "hint": ""} for reason in provisioning.reasons
            ],
            avatar_snapshot=None,
            version=provisioning.version + 1,
            updated_at=now,
            erased_at=now,
        )
    )
