"""Let an avatar be on record for one provisioning only, so that none is adopted a second time."""

import sqlalchemy as sa
from alembic import op

from models.errors import DatabaseError
from models.tables import HAS_AVATAR_CLAUSE

revision = "adoptions"
down_revision = "cancelled_batches"
branch_labels = None
depends_on = None

MAX_NAMED = 10
_REPEATED = sa.text(
    "SELECT avatar_id, count(*) FROM provisionings WHERE avatar_id IS NOT NULL GROUP BY avatar_id"
    " HAVING count(*) > 1 ORDER BY avatar_id LIMIT :limit"
)
_IDS = sa.text("SELECT id FROM provisionings WHERE avatar_id = :avatar_id ORDER BY created_at, id LIMIT :limit")


def upgrade() -> None:
    connection = op.get_bind()
    # PostgreSQL: no other process writes between the query and the index.
    if connection.dialect.name == "postgresql":
        op.execute("LOCK TABLE provisionings IN SHARE ROW EXCLUSIVE MODE")
    _refuse_repeated(connection)
    op.drop_index(op.f("ix_provisionings_avatar_id"), "provisionings")
    op.create_index(op.f("ix_provisionings_avatar_id"), "provisionings", ["avatar_id"], unique=True)
    op.create_index(
        op.f("ix_submissions_avatar_id"),
        "submissions",
        ["avatar_id"],
        sqlite_where=HAS_AVATAR_CLAUSE,
        postgresql_where=HAS_AVATAR_CLAUSE,
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_submissions_avatar_id"), "submissions")
    op.drop_index(op.f("ix_provisionings_avatar_id"), "provisionings")
    op.create_index(op.f("ix_provisionings_avatar_id"), "provisionings", ["avatar_id"])


def _refuse_repeated(connection: sa.Connection) -> None:
    """Raise DatabaseError if several provisionings have one avatar; the whole upgrade is one transaction."""
    repeated = connection.execute(_REPEATED, {"limit": MAX_NAMED + 1}).all()
    if not repeated:
        return
    named = []
    for avatar_id, _ in repeated[:MAX_NAMED]:
        ids = connection.execute(_IDS, {"avatar_id": avatar_id, "limit": MAX_NAMED}).scalars()
        named.append(f"avatar {avatar_id} of provisionings {', '.join(ids)}")
    more = " and others" if len(repeated) > MAX_NAMED else ""
    raise DatabaseError(
        f"the ledger cannot be upgraded, because provisionings share an avatar: {'; '.join(named)}{more}; "
        "nothing was changed",
        hint="keep each avatar at one provisioning, and remove it from the others with SQL: UPDATE provisionings "
        "SET avatar_id = NULL, version = version + 1 WHERE id = '...'; then run the same command again",
    )
