"""Let image requests share a voice that they name; find those that wait without reading requests with videos."""

import sqlalchemy as sa
from alembic import op

revision = "shared_voices"
down_revision = "voice_clones"
branch_labels = None
depends_on = None

HAS_VOICE = sa.text("voice_id IS NOT NULL")
OWN_VOICE = sa.text("voice_id IS NOT NULL AND NOT (kind = 'image' AND voice_source = 'given')")
IMAGE = sa.text("kind = 'image'")


def upgrade() -> None:
    op.create_index(
        "ix_provisionings_voice_id",
        "provisionings",
        ["voice_id"],
        sqlite_where=HAS_VOICE,
        postgresql_where=HAS_VOICE,
    )
    op.create_index(
        "uq_provisionings_own_voice_id",
        "provisionings",
        ["voice_id"],
        unique=True,
        sqlite_where=OWN_VOICE,
        postgresql_where=OWN_VOICE,
    )
    op.drop_index("uq_provisionings_voice_id", "provisionings")
    op.create_index(
        "ix_provisionings_image_status_created_at_id",
        "provisionings",
        ["status", "created_at", "id"],
        sqlite_where=IMAGE,
        postgresql_where=IMAGE,
    )


def downgrade() -> None:
    op.drop_index("ix_provisionings_image_status_created_at_id", "provisionings")
    op.create_index(
        "uq_provisionings_voice_id",
        "provisionings",
        ["voice_id"],
        unique=True,
        sqlite_where=HAS_VOICE,
        postgresql_where=HAS_VOICE,
    )
    op.drop_index("uq_provisionings_own_voice_id", "provisionings")
    op.drop_index("ix_provisionings_voice_id", "provisionings")
