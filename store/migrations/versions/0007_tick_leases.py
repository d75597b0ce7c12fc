"""Let one run of each schedule work at a time, and continue where the previous one stopped."""

import sqlalchemy as sa
from alembic import op

from models.tables import UtcDateTime

revision = "tick_leases"
down_revision = "limits"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tick_leases",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("owner_id", sa.String(256)),
        sa.Column("holder", sa.String(256), nullable=False),
        sa.Column("acquired_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("position", sa.String(256)),
    )


def downgrade() -> None:
    op.drop_table("tick_leases")
