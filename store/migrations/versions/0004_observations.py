"""Store when the service last reconciled the ledger and last read the account at Argil."""

import sqlalchemy as sa
from alembic import op

from models.tables import UtcDateTime

revision = "observations"
down_revision = "reopening"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "observations",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("observed_at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("observations")
