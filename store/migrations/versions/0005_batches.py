"""Store batches, the batch that took each provisioning last, and names and extras in columns that have indexes.

Names and extras of existing provisionings are copied from their requests. Earlier versions accepted characters that
a database cannot index; those are replaced, as in every other column.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from models.argil.avatar import replace_unstorable_characters
from models.tables import RedactedText, UtcDateTime

revision = "batches"
down_revision = "observations"
branch_labels = None
depends_on = None

ID = sa.String(36)
TEXT = sa.String(256)
MAX_CHARACTERS = 256
ROWS_PER_PAGE = 1000
HAS_BATCH = sa.text("batch_id IS NOT NULL")

provisionings = sa.table(
    "provisionings",
    sa.column("id", sa.String),
    sa.column("request", sa.JSON),
    sa.column("name", sa.String),
    sa.column("created_at", UtcDateTime),
    sa.column("erased_at", UtcDateTime),
)
extras = sa.table(
    "extras",
    sa.column("provisioning_id", sa.String),
    sa.column("key", sa.String),
    sa.column("value", sa.String),
    sa.column("created_at", UtcDateTime),
)


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", ID, primary_key=True),
        sa.Column("manifest", RedactedText()),
        sa.Column("manifest_sha256", sa.String(64), nullable=False),
        sa.Column("started_by", TEXT, nullable=False),
        sa.Column("flow_run_id", ID),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime()),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("invalid_count", sa.Integer(), nullable=False),
    )
    op.create_index("ix_batches_started_at_id", "batches", ["started_at", "id"])
    op.create_table(
        "extras",
        sa.Column("provisioning_id", ID, sa.ForeignKey("provisionings.id"), primary_key=True),
        sa.Column("key", TEXT, primary_key=True),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
    )
    op.add_column("provisionings", sa.Column("name", TEXT))
    op.add_column("provisionings", sa.Column("batch_id", ID))
    connection = op.get_bind()
    for page in _pages(connection):
        _copy(connection, page)
    op.create_index(
        "ix_extras_key_value_created_at_provisioning_id",
        "extras",
        ["key", "value", "created_at", "provisioning_id"],
    )
    op.create_index(
        "ix_provisionings_name_status_created_at_id", "provisionings", ["name", "status", "created_at", "id"]
    )
    op.create_index(
        "ix_provisionings_batch_id_status_created_at_id",
        "provisionings",
        ["batch_id", "status", "created_at", "id"],
        sqlite_where=HAS_BATCH,
        postgresql_where=HAS_BATCH,
    )


def _pages(connection: sa.Connection) -> Iterator[list[sa.Row[Any]]]:
    """Yield all provisionings by id, as pages."""
    last_id = ""
    while page := list(
        connection.execute(
            sa.select(provisionings)
            .where(provisionings.c.id > last_id)
            .order_by(provisionings.c.id)
            .limit(ROWS_PER_PAGE)
            .with_for_update()  # another process may erase one of them or replace its request
        )
    ):
        yield page
        last_id = page[-1].id


def _copy(connection: sa.Connection, page: list[sa.Row[Any]]) -> None:
    """Copy the names and extras of those requests of a page that are not erased."""
    page = [row for row in page if row.erased_at is None]
    statement = (
        sa.update(provisionings)
        .where(provisionings.c.id == sa.bindparam("provisioning_id"))
        .values(name=sa.bindparam("copied_name"))
    )
    names = [{"provisioning_id": row.id, "copied_name": _storable(row.request.get("name"))} for row in page]
    if names:
        connection.execute(statement, names)
    values = [
        {"provisioning_id": row.id, "key": key, "value": value, "created_at": row.created_at}
        for row in page
        for key, value in _storable_extras(row.request).items()
    ]
    if values:
        connection.execute(sa.insert(extras), values)


def _storable_extras(request: dict[str, Any]) -> dict[str, str]:
    """Return the extras; two keys that differ in replaced characters only are one."""
    return {_storable(key): _storable(value) for key, value in (request.get("extras") or {}).items()}


def _storable(value: Any) -> str:
    """Return what a column can hold; a value that is not text, which no version wrote, as text."""
    return replace_unstorable_characters("" if value is None else str(value))[:MAX_CHARACTERS]


def downgrade() -> None:
    op.drop_index("ix_provisionings_batch_id_status_created_at_id", "provisionings")
    op.drop_index("ix_provisionings_name_status_created_at_id", "provisionings")
    op.drop_column("provisionings", "batch_id")
    op.drop_column("provisionings", "name")
    op.drop_table("extras")
    op.drop_table("batches")
