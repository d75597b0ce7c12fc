"""Create the tables of the ledger and the triggers that make evidence append-only."""

import sqlalchemy as sa
from alembic import op

from models.tables import UtcDateTime

revision = "initial"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.String(36)
CODE = sa.String(32)
TEXT = sa.String(256)
AUTO_INCREMENT_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IN_FLIGHT = sa.text("status IN ('ACCEPTED', 'SUBMITTING', 'TRAINING')")
TIMED_OUT = sa.text("status = 'TIMED_OUT'")

SQLITE_APPEND_ONLY_TRIGGER = """
CREATE TRIGGER evidence_{verb} BEFORE {verb} ON evidence
BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END
"""
POSTGRESQL_APPEND_ONLY_FUNCTION = """
CREATE FUNCTION reject_evidence_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'evidence is append-only'; END $$
"""
POSTGRESQL_APPEND_ONLY_TRIGGER = """
CREATE TRIGGER evidence_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence
FOR EACH STATEMENT EXECUTE FUNCTION reject_evidence_change()
"""


def _provisioning_id(*, index: bool = False) -> sa.Column[str]:
    return sa.Column("provisioning_id", ID, sa.ForeignKey("provisionings.id"), nullable=False, index=index)


def upgrade() -> None:
    op.create_table(
        "provisionings",
        sa.Column("id", ID, primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reference", TEXT, nullable=False, unique=True),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("request_fingerprint", sa.String(64), nullable=False),
        sa.Column("status", CODE, nullable=False),
        sa.Column("avatar_id", TEXT, index=True),
        sa.Column("raw_status", TEXT),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("retrain_count", sa.Integer(), nullable=False),
        sa.Column("submission_count", sa.Integer(), nullable=False),
        sa.Column("training_started_at", UtcDateTime()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("flow_run_id", ID),
        sa.Column("avatar_snapshot", sa.JSON()),
        sa.Column("media_facts", sa.JSON()),
        sa.Column("lease_owner", TEXT),
        sa.Column("lease_expires_at", UtcDateTime()),
        sa.Column("erased_at", UtcDateTime()),
    )
    op.create_index("ix_provisionings_status_created_at_id", "provisionings", ["status", "created_at", "id"])
    op.create_index(
        "ix_provisionings_in_flight_flow_run_id",
        "provisionings",
        ["flow_run_id"],
        sqlite_where=IN_FLIGHT,
        postgresql_where=IN_FLIGHT,
    )
    op.create_index(
        "ix_provisionings_timed_out_updated_at_id",
        "provisionings",
        ["status", "updated_at", "id"],
        sqlite_where=TIMED_OUT,
        postgresql_where=TIMED_OUT,
    )
    op.create_table(
        "submissions",
        sa.Column("id", ID, primary_key=True),
        _provisioning_id(),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("state", CODE, nullable=False),
        sa.Column("avatar_id", TEXT),
        sa.Column("http_status", sa.Integer()),
        sa.Column("response", sa.JSON()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("state_changed_at", UtcDateTime(), nullable=False),
        sa.UniqueConstraint("provisioning_id", "ordinal", name="uq_submissions_provisioning_id_ordinal"),
    )
    op.create_table(
        "evidence",
        sa.Column("id", AUTO_INCREMENT_ID, primary_key=True),
        _provisioning_id(index=True),
        sa.Column("submission_id", ID, sa.ForeignKey("submissions.id"), nullable=False, unique=True),
        sa.Column("reference", TEXT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("flow_run_id", ID),
        sa.Column("dataset", sa.JSON(), nullable=False),
        sa.Column("consent", sa.JSON(), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "duplicates",
        sa.Column("avatar_id", TEXT, primary_key=True),
        _provisioning_id(index=True),
        sa.Column("submission_id", ID, nullable=False),
        sa.Column("detected_at", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "suspended_runs",
        sa.Column("flow_run_id", ID, primary_key=True),
        _provisioning_id(index=True),
        sa.Column("suspended_at", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("id", AUTO_INCREMENT_ID, primary_key=True),
        _provisioning_id(index=True),
        sa.Column("occurred_at", UtcDateTime(), nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("from_status", CODE),
        sa.Column("to_status", CODE, nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("raw_status", TEXT),
        sa.Column("flow_run_id", ID),
        sa.Column("submission_id", ID),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", AUTO_INCREMENT_ID, primary_key=True),
        _provisioning_id(index=True),
        sa.Column("input_hash", sa.String(64), nullable=False, index=True),
        sa.Column("input_identity", sa.Text(), nullable=False),
        sa.Column("etag", TEXT),
        sa.Column("size_bytes", sa.BigInteger()),
        sa.Column("quarantined_at", UtcDateTime(), nullable=False),
        sa.Column("released_at", UtcDateTime()),
        sa.Column("release_reason", sa.Text()),
    )
    op.create_index("ix_quarantine_etag_size_bytes", "quarantine", ["etag", "size_bytes"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", AUTO_INCREMENT_ID, primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("event", CODE, nullable=False),
        sa.Column("avatar_id", TEXT, nullable=False, index=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(SQLITE_APPEND_ONLY_TRIGGER.format(verb=verb))
    else:
        op.execute(POSTGRESQL_APPEND_ONLY_FUNCTION)
        op.execute(POSTGRESQL_APPEND_ONLY_TRIGGER)


def downgrade() -> None:
    for table in (
        "webhook_deliveries",
        "quarantine",
        "events",
        "suspended_runs",
        "duplicates",
        "evidence",
        "submissions",
        "provisionings",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION reject_evidence_change()")
