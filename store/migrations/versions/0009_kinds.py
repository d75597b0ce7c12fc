"""Store the kind of each request, and evidence of an image. Existing requests are video requests."""

import sqlalchemy as sa
from alembic import op

from models.tables import RedactedJson

revision = "kinds"
down_revision = "unknown_avatars"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("provisionings", sa.Column("kind", sa.String(32), nullable=False, server_default="video"))
    op.add_column("evidence", sa.Column("image", RedactedJson()))


def downgrade() -> None:
    op.drop_column("evidence", "image")
    op.drop_column("provisionings", "kind")
