"""The ledger: provisionings, submissions, events, quarantine."""

import sqlalchemy as sa
from alembic import op

from models.tables import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.String(36)
CODE = sa.String(32)
TEXT = sa.String(256)
COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _of_provisioning() -> sa.Column[str]:
    return sa.Column("provisioning_id", ID, sa.ForeignKey("provisionings.id"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "provisionings",
        sa.Column("id", ID, primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reference", TEXT, nullable=False, unique=True),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("request_identity", sa.String(64), nullable=False),
        sa.Column("status", CODE, nullable=False),
        sa.Column("avatar_id", TEXT),
        sa.Column("raw_status", TEXT),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("retrains", sa.Integer(), nullable=False),
        sa.Column("submissions", sa.Integer(), nullable=False),
        sa.Column("training_since", UtcDateTime()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("flow_run_id", ID),
        sa.Column("avatar", sa.JSON()),
        sa.Column("media", sa.JSON()),
        sa.Column("lease_owner", TEXT),
        sa.Column("lease_expires_at", UtcDateTime()),
    )
    op.create_index(None, "provisionings", ["avatar_id"])
    op.create_index("ix_provisionings_status_created_at_id", "provisionings", ["status", "created_at", "id"])
    op.create_table(
        "submissions",
        sa.Column("id", ID, primary_key=True),
        _of_provisioning(),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("state", CODE, nullable=False),
        sa.Column("avatar_id", TEXT),
        sa.Column("http_status", sa.Integer()),
        sa.Column("answer", sa.JSON()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("state_at", UtcDateTime(), nullable=False),
        sa.UniqueConstraint("provisioning_id", "ordinal", name="uq_submissions_provisioning_id_ordinal"),
    )
    op.create_table(
        "events",
        sa.Column("id", COUNTER, primary_key=True),
        _of_provisioning(),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("from_status", CODE),
        sa.Column("to_status", CODE, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("raw_status", TEXT),
        sa.Column("flow_run_id", ID),
        sa.Column("submission_id", ID),
    )
    op.create_index(None, "events", ["provisioning_id"])
    op.create_table(
        "quarantine",
        sa.Column("id", COUNTER, primary_key=True),
        _of_provisioning(),
        sa.Column("input_hash", sa.String(64), nullable=False),
        sa.Column("input_identity", sa.Text(), nullable=False),
        sa.Column("etag", TEXT),
        sa.Column("size_bytes", sa.BigInteger()),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("released_at", UtcDateTime()),
        sa.Column("released_why", sa.Text()),
    )
    op.create_index(None, "quarantine", ["provisioning_id"])
    op.create_index(None, "quarantine", ["input_hash"])
    op.create_index("ix_quarantine_etag_size_bytes", "quarantine", ["etag", "size_bytes"])


def downgrade() -> None:
    for table in ("quarantine", "events", "submissions", "provisionings"):
        op.drop_table(table)
