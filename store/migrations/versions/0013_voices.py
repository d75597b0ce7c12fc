"""Store the voice of an avatar, how it became known, and when it is looked up; store the voices of deliveries.

Provisionings that are READY already are not looked up: `avatars voice` records their voices.
"""

import sqlalchemy as sa
from alembic import op

from models.tables import UtcDateTime

revision = "voices"
down_revision = "uploads"
branch_labels = None
depends_on = None

HAS_VOICE = sa.text("voice_id IS NOT NULL")
VOICE_DUE = sa.text("voice_due_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("provisionings", sa.Column("voice_id", sa.String(256)))
    op.add_column("provisionings", sa.Column("voice_source", sa.String(32)))
    op.add_column("provisionings", sa.Column("voice_due_at", UtcDateTime()))
    op.add_column("webhook_deliveries", sa.Column("voice_id", sa.String(256)))
    op.create_index(
        "uq_provisionings_voice_id",
        "provisionings",
        ["voice_id"],
        unique=True,
        sqlite_where=HAS_VOICE,
        postgresql_where=HAS_VOICE,
    )
    op.create_index(
        "ix_provisionings_voice_due_at_id",
        "provisionings",
        ["voice_due_at", "id"],
        sqlite_where=VOICE_DUE,
        postgresql_where=VOICE_DUE,
    )
    op.create_index(
        "ix_webhook_deliveries_voice_id",
        "webhook_deliveries",
        ["voice_id"],
        sqlite_where=HAS_VOICE,
        postgresql_where=HAS_VOICE,
    )


def downgrade() -> None:
    op.drop_index("ix_webhook_deliveries_voice_id", "webhook_deliveries")
    op.drop_index("ix_provisionings_voice_due_at_id", "provisionings")
    op.drop_index("uq_provisionings_voice_id", "provisionings")
    op.drop_column("webhook_deliveries", "voice_id")
    op.drop_column("provisionings", "voice_due_at")
    op.drop_column("provisionings", "voice_source")
    op.drop_column("provisionings", "voice_id")
