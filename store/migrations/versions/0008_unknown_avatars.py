"""Store the avatars at Argil whose submissions the ledger does not know, and the decisions to ignore them."""

import sqlalchemy as sa
from alembic import op

from models.tables import RedactedText, UtcDateTime

revision = "unknown_avatars"
down_revision = "tick_leases"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unknown_avatars",
        sa.Column("submission_id", sa.String(36), primary_key=True),
        sa.Column("avatar_id", sa.String(256)),
        sa.Column("name", RedactedText(), nullable=False),
        sa.Column("first_seen_at", UtcDateTime(), nullable=False),
        sa.Column("ignored_at", UtcDateTime()),
        sa.Column("ignored_by", sa.String(256)),
    )
    op.create_index(op.f("ix_unknown_avatars_ignored_at"), "unknown_avatars", ["ignored_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_unknown_avatars_ignored_at"), "unknown_avatars")
    op.drop_table("unknown_avatars")
