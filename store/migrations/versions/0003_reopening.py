"""Store the request of each submission, the callers of provisionings, and since when an avatar is not found.

Requests were never replaced before this revision, so each submission carries the request of its provisioning.
"""

import sqlalchemy as sa
from alembic import op

from models.tables import UtcDateTime

revision = "reopening"
down_revision = "recording_identity"
branch_labels = None
depends_on = None

provisionings = sa.table("provisionings", sa.column("id", sa.String), sa.column("request_fingerprint", sa.String))
submissions = sa.table(
    "submissions", sa.column("provisioning_id", sa.String), sa.column("request_fingerprint", sa.String)
)


def upgrade() -> None:
    op.add_column("provisionings", sa.Column("not_found_since", UtcDateTime()))
    op.add_column("submissions", sa.Column("request_fingerprint", sa.String(64)))
    fingerprint = sa.select(provisionings.c.request_fingerprint).where(
        provisionings.c.id == submissions.c.provisioning_id
    )
    op.execute(sa.update(submissions).values(request_fingerprint=fingerprint.scalar_subquery()))
    op.create_table(
        "callers",
        sa.Column("provisioning_id", sa.String(36), sa.ForeignKey("provisionings.id"), primary_key=True),
        sa.Column("caller_id", sa.String(36), primary_key=True),
        sa.Column("action", sa.String(32), primary_key=True),
        sa.Column("called_at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("callers")
    op.drop_column("submissions", "request_fingerprint")
    op.drop_column("provisionings", "not_found_since")
