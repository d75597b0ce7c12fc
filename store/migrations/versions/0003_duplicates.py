"""Duplicates at Argil, each once; runs that sleep; provisionings by the run that drives them."""

import sqlalchemy as sa
from alembic import op

from models.tables import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.String(36)


def upgrade() -> None:
    op.create_table(
        "duplicates",
        sa.Column("avatar_id", sa.String(256), primary_key=True),
        sa.Column("provisioning_id", ID, sa.ForeignKey("provisionings.id"), nullable=False, index=True),
        sa.Column("submission_id", ID, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "sleepers",
        sa.Column("flow_run_id", ID, primary_key=True),
        sa.Column("provisioning_id", ID, sa.ForeignKey("provisionings.id"), nullable=False, index=True),
        sa.Column("at", UtcDateTime(), nullable=False),
    )
    op.create_index("ix_provisionings_flow_run_id", "provisionings", ["flow_run_id"])


def downgrade() -> None:
    op.drop_index("ix_provisionings_flow_run_id", "provisionings")
    op.drop_table("sleepers")
    op.drop_table("duplicates")
