"""The partial indexes of the ledger: of tables that PostgreSQL updates often, but with few matching rows.

PostgreSQL updates every index of a table on each status change, except those that do not contain the row.
They are apart from models/tables.py because only migrations need them, and because their definition makes
SQLAlchemy import its PostgreSQL dialect, a twentieth of the CPU time of `avatars list`.
"""

from __future__ import annotations

from sqlalchemy import Index

from models.tables import (
    HAS_AVATAR_CLAUSE,
    HAS_BATCH_CLAUSE,
    HAS_VOICE_CLAUSE,
    IMAGE_CLAUSE,
    IN_FLIGHT_CLAUSE,
    METADATA,
    OPEN_CLONE_CLAUSE,
    OWN_VOICE_CLAUSE,
    TIMED_OUT_CLAUSE,
    VOICE_DUE_CLAUSE,
    provisioning_table,
    submission_table,
    voice_clone_table,
    webhook_delivery_table,
)

Index(
    "ix_provisionings_in_flight_flow_run_id",
    provisioning_table.c.flow_run_id,
    sqlite_where=IN_FLIGHT_CLAUSE,
    postgresql_where=IN_FLIGHT_CLAUSE,
)
Index(
    "ix_provisionings_timed_out_updated_at_id",
    provisioning_table.c.status,
    provisioning_table.c.updated_at,
    provisioning_table.c.id,
    sqlite_where=TIMED_OUT_CLAUSE,
    postgresql_where=TIMED_OUT_CLAUSE,
)
Index(
    "ix_provisionings_batch_id_status_created_at_id",
    provisioning_table.c.batch_id,
    provisioning_table.c.status,
    provisioning_table.c.created_at,
    provisioning_table.c.id,
    sqlite_where=HAS_BATCH_CLAUSE,
    postgresql_where=HAS_BATCH_CLAUSE,
)
Index(
    "ix_submissions_avatar_id",
    submission_table.c.avatar_id,
    sqlite_where=HAS_AVATAR_CLAUSE,
    postgresql_where=HAS_AVATAR_CLAUSE,
)
Index(
    "ix_provisionings_image_status_created_at_id",
    provisioning_table.c.status,
    provisioning_table.c.created_at,
    provisioning_table.c.id,
    sqlite_where=IMAGE_CLAUSE,
    postgresql_where=IMAGE_CLAUSE,
)
Index(
    "ix_provisionings_voice_id",
    provisioning_table.c.voice_id,
    sqlite_where=HAS_VOICE_CLAUSE,
    postgresql_where=HAS_VOICE_CLAUSE,
)
Index(
    "uq_provisionings_own_voice_id",
    provisioning_table.c.voice_id,
    unique=True,
    sqlite_where=OWN_VOICE_CLAUSE,
    postgresql_where=OWN_VOICE_CLAUSE,
)
Index(
    "ix_provisionings_voice_due_at_id",
    provisioning_table.c.voice_due_at,
    provisioning_table.c.id,
    sqlite_where=VOICE_DUE_CLAUSE,
    postgresql_where=VOICE_DUE_CLAUSE,
)
Index(
    "ix_webhook_deliveries_voice_id",
    webhook_delivery_table.c.voice_id,
    sqlite_where=HAS_VOICE_CLAUSE,
    postgresql_where=HAS_VOICE_CLAUSE,
)
Index(
    "uq_voice_clones_provisioning_id_sample_sha256",
    voice_clone_table.c.provisioning_id,
    voice_clone_table.c.sample_sha256,
    unique=True,
    sqlite_where=OPEN_CLONE_CLAUSE,
    postgresql_where=OPEN_CLONE_CLAUSE,
)

SCHEMA = METADATA
"""The tables with all indexes: SQLAlchemy adds the indexes above to their table."""
