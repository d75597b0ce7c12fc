"""Store the intent to clone a voice before it is sent, and the evidence of the sample."""

import sqlalchemy as sa
from alembic import op

from models.tables import RedactedJson, RedactedText, UtcDateTime

revision = "voice_clones"
down_revision = "voices"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('PENDING', 'UNKNOWN', 'CREATED')")


def upgrade() -> None:
    op.create_table(
        "voice_clones",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("provisioning_id", sa.String(36), sa.ForeignKey("provisionings.id"), nullable=False),
        sa.Column("sample_sha256", sa.String(64), nullable=False),
        sa.Column("name", RedactedText()),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("voice_id", sa.String(256)),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("state_changed_at", UtcDateTime(), nullable=False),
    )
    op.create_index(op.f("ix_voice_clones_provisioning_id"), "voice_clones", ["provisioning_id"])
    op.create_index(
        "uq_voice_clones_provisioning_id_sample_sha256",
        "voice_clones",
        ["provisioning_id", "sample_sha256"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.add_column("evidence", sa.Column("voice_sample", RedactedJson()))


def downgrade() -> None:
    op.drop_column("evidence", "voice_sample")
    op.drop_index("uq_voice_clones_provisioning_id_sample_sha256", "voice_clones")
    op.drop_index(op.f("ix_voice_clones_provisioning_id"), "voice_clones")
    op.drop_table("voice_clones")
