"""Indexes for millions of rows: the run of what is in flight, late ends, deliveries by avatar."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

IN_FLIGHT = sa.text("status IN ('ACCEPTED', 'SUBMITTING', 'TRAINING')")
TIMED_OUT = sa.text("status = 'TIMED_OUT'")


def upgrade() -> None:
    op.drop_index("ix_provisionings_flow_run_id", "provisionings")
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
    op.create_index("ix_deliveries_avatar_id", "deliveries", ["avatar_id"])


def downgrade() -> None:
    op.drop_index("ix_deliveries_avatar_id", "deliveries")
    op.drop_index("ix_provisionings_timed_out_updated_at_id", "provisionings")
    op.drop_index("ix_provisionings_in_flight_flow_run_id", "provisionings")
    op.create_index("ix_provisionings_flow_run_id", "provisionings", ["flow_run_id"])
