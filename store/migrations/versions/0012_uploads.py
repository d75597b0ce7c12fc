"""Record the files that commands uploaded to AVATARS_UPLOAD_URL, and the provisionings that name them."""

import sqlalchemy as sa
from alembic import op

from models.tables import UtcDateTime

revision = "uploads"
down_revision = "adoptions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("uri", sa.Text(), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(256), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=False),
        sa.Column("completed_at", UtcDateTime()),
    )
    op.create_table(
        "upload_uses",
        sa.Column("uri", sa.Text(), sa.ForeignKey("uploads.uri", ondelete="CASCADE"), primary_key=True),
        sa.Column("provisioning_id", sa.String(36), sa.ForeignKey("provisionings.id"), primary_key=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
    )
    op.create_index(op.f("ix_upload_uses_provisioning_id"), "upload_uses", ["provisioning_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_upload_uses_provisioning_id"), "upload_uses")
    op.drop_table("upload_uses")
    op.drop_table("uploads")
