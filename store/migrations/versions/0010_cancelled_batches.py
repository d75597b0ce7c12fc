"""Store when a person cancelled a batch, so that none of its rows begins afterwards."""

import sqlalchemy as sa
from alembic import op

from models.tables import UtcDateTime

revision = "cancelled_batches"
down_revision = "kinds"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("cancelled_at", UtcDateTime()))


def downgrade() -> None:
    op.drop_column("batches", "cancelled_at")
