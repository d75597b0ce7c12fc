"""The statements of the ledger's writes.

They are built once, from tables and bind parameters, because building a statement costs more than running it.
"""

from __future__ import annotations

from sqlalchemy import bindparam, delete, insert, select, update

from models.provisioning import Status
from models.tables import batch_table, caller_table, event_table, extra_table, provisioning_table, submission_table

BY_ID = select(provisioning_table).where(provisioning_table.c.id == bindparam("id_"))
BY_REFERENCE = select(provisioning_table).where(provisioning_table.c.reference == bindparam("reference_"))
ID_BY_AVATAR = select(provisioning_table.c.id).where(provisioning_table.c.avatar_id == bindparam("avatar_id_"))
RENEW_URLS = (
    update(provisioning_table)
    .where(
        provisioning_table.c.id == bindparam("id_"),
        provisioning_table.c.request_fingerprint == bindparam("fingerprint"),
        provisioning_table.c.status == Status.ACCEPTED,
    )
    .values(
        request=bindparam("new_request", type_=provisioning_table.c.request.type),
        version=provisioning_table.c.version + 1,
    )
)
TAKE_FOR_BATCH = (
    update(provisioning_table)
    .where(provisioning_table.c.id == bindparam("id_"), provisioning_table.c.erased_at.is_(None))
    .values(batch_id=bindparam("taken_by"))
)
BATCH_CANCELLED_AT = select(batch_table.c.cancelled_at).where(batch_table.c.id == bindparam("batch_id"))
LOCK_BATCH = BATCH_CANCELLED_AT.with_for_update(read=True)
"""As above, and a cancellation waits for the end of this transaction."""
DELETE_EXTRAS = delete(extra_table).where(extra_table.c.provisioning_id == bindparam("id_"))
INSERT_EXTRAS = insert(extra_table)
COMPARE_AND_SET = (
    update(provisioning_table)
    .where(
        provisioning_table.c.id == bindparam("expected_id"),
        provisioning_table.c.version == bindparam("expected_version"),
    )
    .returning(*provisioning_table.c)
)
INSERT_EVENT = insert(event_table)
HAS_CALLED = select(caller_table.c.called_at).where(
    caller_table.c.provisioning_id == bindparam("provisioning_id"),
    caller_table.c.caller_id == bindparam("caller_id"),
    caller_table.c.action == bindparam("action"),
)
SUBMISSION_STATES = select(submission_table.c.state).where(submission_table.c.provisioning_id == bindparam("id_"))
INSERT_SUBMISSION = insert(submission_table).returning(*submission_table.c)
UPDATE_SUBMISSION = update(submission_table).where(submission_table.c.id == bindparam("submission_id"))
