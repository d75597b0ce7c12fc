"""Count submissions per day and batch, and store pauses.

The submissions of earlier days are counted too, so that a limit applies to the whole day of the upgrade.
"""

import sqlalchemy as sa
from alembic import op

from models.tables import UtcDateTime

revision = "limits"
down_revision = "batches"
branch_labels = None
depends_on = None

_DAY = {
    "sqlite": "substr(created_at, 1, 10)",
    "postgresql": "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
}


def upgrade() -> None:
    op.add_column("submissions", sa.Column("batch_id", sa.String(36)))
    op.create_table(
        "counters",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("count", sa.Integer(), nullable=False),
    )
    day = _DAY[op.get_bind().dialect.name]
    op.execute(
        f"INSERT INTO counters (name, count) SELECT 'day:' || {day}, count(*) FROM submissions "  # noqa: S608  # constants
        f"WHERE state <> 'NOT_CREATED' GROUP BY {day}"
    )
    op.create_table(
        "pauses",
        sa.Column("api_key_sha256", sa.String(64), primary_key=True),
        sa.Column("cause", sa.String(32), primary_key=True),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("probe_id", sa.String(256)),
    )


def downgrade() -> None:
    op.drop_table("pauses")
    op.drop_table("counters")
    op.drop_column("submissions", "batch_id")
