"""Evidence of what was submitted, append-only by the database itself; provisionings that were forgotten."""

import sqlalchemy as sa
from alembic import op

from models.tables import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.String(36)
REFUSE_ON_SQLITE = """
CREATE TRIGGER evidence_{verb} BEFORE {verb} ON evidence
BEGIN SELECT RAISE(ABORT, 'evidence is only ever added to'); END
"""
REFUSAL_ON_POSTGRESQL = """
CREATE FUNCTION refuse_change_of_evidence() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'evidence is only ever added to'; END $$
"""
REFUSE_ON_POSTGRESQL = """
CREATE TRIGGER evidence_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_evidence()
"""


def upgrade() -> None:
    op.create_table(
        "evidence",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("provisioning_id", ID, sa.ForeignKey("provisionings.id"), nullable=False, index=True),
        sa.Column("submission_id", ID, sa.ForeignKey("submissions.id"), nullable=False, unique=True),
        sa.Column("reference", sa.String(256), nullable=False),
        sa.Column("actor", sa.String(256), nullable=False),
        sa.Column("flow_run_id", ID),
        sa.Column("dataset", sa.JSON(), nullable=False),
        sa.Column("consent", sa.JSON(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(REFUSE_ON_SQLITE.format(verb=verb))
    else:
        op.execute(REFUSAL_ON_POSTGRESQL)
        op.execute(REFUSE_ON_POSTGRESQL)
    op.add_column("provisionings", sa.Column("forgotten_at", UtcDateTime()))


def downgrade() -> None:
    op.drop_column("provisionings", "forgotten_at")
    op.drop_table("evidence")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION refuse_change_of_evidence()")
