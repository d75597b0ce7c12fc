"""Identify recordings by their canonical form and content, and normalize references.

Revision `initial` identified a recording by its URL without the query. The identities of provisionings and of
quarantined recordings are computed again from the requests. A refused recording whose URL was erased keeps its old
digest, which goes on blocking every URL that differs in the query only. The evidence is append-only and keeps its
digests. Run it with the AVATARS_SIGNATURE_PARAMETERS of the service.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from models.manifest.validation import DERIVED_REFERENCE_DIGITS, DERIVED_REFERENCE_PREFIX
from models.recordings.identity import RecordingIdentity, legacy_digest
from models.request import ProvisioningRequest
from models.text.normalization import normalize_name, normalize_reference

revision = "recording_identity"
down_revision = "initial"
branch_labels = None
depends_on = None

DIGEST = sa.String(64)
ROWS_PER_PAGE = 1000
DIGEST_COLUMNS = ("identity_sha256", "content_sha256", "sample_sha256")

provisionings = sa.table(
    "provisionings",
    sa.column("id", sa.String),
    sa.column("reference", sa.String),
    sa.column("request", sa.JSON),
    sa.column("request_fingerprint", sa.String),
    sa.column("media_facts", sa.JSON),
    sa.column("erased_at", sa.DateTime),
)
quarantine = sa.table(
    "quarantine",
    sa.column("id", sa.BigInteger),
    sa.column("provisioning_id", sa.String),
    sa.column("input_identity", sa.Text),
    *(sa.column(name, DIGEST) for name in (*DIGEST_COLUMNS, "legacy_identity_sha256")),
)


def upgrade() -> None:
    op.drop_index("ix_quarantine_input_hash", "quarantine")
    with op.batch_alter_table("quarantine") as batch:
        batch.alter_column(
            "input_hash", new_column_name="legacy_identity_sha256", existing_type=DIGEST, nullable=True
        )
        for name in DIGEST_COLUMNS:
            batch.add_column(sa.Column(name, DIGEST))
    for name in (*DIGEST_COLUMNS, "legacy_identity_sha256"):
        op.create_index(f"ix_quarantine_{name}", "quarantine", [name])
    connection = op.get_bind()
    for page in _pages(connection):
        for row in page:
            _update_provisioning(connection, row)
            _update_quarantine(connection, row)


def _pages(connection: sa.Connection) -> Iterator[list[sa.Row[Any]]]:
    """Yield all provisionings that are not erased, by id, as pages."""
    last_id = ""
    while page := list(
        connection.execute(
            sa.select(provisionings)
            .where(provisionings.c.id > last_id, provisionings.c.erased_at.is_(None))
            .order_by(provisionings.c.id)
            .limit(ROWS_PER_PAGE)
            .with_for_update()  # another process may erase one of them or replace its URLs
        )
    ):
        yield page
        last_id = page[-1].id


def _update_provisioning(connection: sa.Connection, row: sa.Row[Any]) -> None:
    """Write the new fingerprint, and the reference in normal form unless another provisioning has it."""
    request = dict(row.request)
    # A character that is refused now stays: the request was accepted.
    with contextlib.suppress(ValueError):
        request["name"] = normalize_name(request["name"])
    fingerprint = ProvisioningRequest.model_construct(**request).fingerprint
    reference = row.reference
    if reference == _derived_reference(row.request_fingerprint):
        reference = _derived_reference(fingerprint)
    else:
        with contextlib.suppress(ValueError):
            reference = normalize_reference(reference) or reference
    is_taken = reference != row.reference and connection.scalar(
        sa.select(sa.exists().where(provisionings.c.reference == reference))
    )
    connection.execute(
        sa.update(provisionings)
        .where(provisionings.c.id == row.id)
        .values(
            request=request,
            request_fingerprint=fingerprint,
            reference=row.reference if is_taken else reference,
        )
    )


def _derived_reference(fingerprint: str) -> str:
    return f"{DERIVED_REFERENCE_PREFIX}{fingerprint[:DERIVED_REFERENCE_DIGITS]}"


def _update_quarantine(connection: sa.Connection, row: sa.Row[Any]) -> None:
    """Identify the quarantined recordings of a provisioning by their canonical form and content."""
    entries = connection.execute(
        sa.select(quarantine.c.id, quarantine.c.legacy_identity_sha256)
        .where(quarantine.c.provisioning_id == row.id)
        .order_by(quarantine.c.id)
    ).all()
    unassigned = {entry.id: entry.legacy_identity_sha256 for entry in entries}
    for role in ("dataset", "consent"):  # in the order of the entries: both may have the same legacy digest
        url = row.request[f"{role}_video"]
        recording = RecordingIdentity.from_facts(url, (row.media_facts or {}).get(role))
        entry_id = next((key for key, digest in unassigned.items() if digest == legacy_digest(url)), None)
        if entry_id is None:
            continue
        del unassigned[entry_id]
        connection.execute(
            sa.update(quarantine)
            .where(quarantine.c.id == entry_id)
            .values(
                identity_sha256=recording.digest,
                content_sha256=recording.content_sha256,
                sample_sha256=recording.sample_sha256,
                legacy_identity_sha256=None,
            )
        )


def downgrade() -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.select(quarantine).where(quarantine.c.legacy_identity_sha256.is_(None))):
        connection.execute(
            sa.update(quarantine)
            .where(quarantine.c.id == row.id)
            .values(legacy_identity_sha256=legacy_digest(row.input_identity))
        )
    for name in (*DIGEST_COLUMNS, "legacy_identity_sha256"):
        op.drop_index(f"ix_quarantine_{name}", "quarantine")
    with op.batch_alter_table("quarantine") as batch:
        for name in DIGEST_COLUMNS:
            batch.drop_column(name)
        batch.alter_column(
            "legacy_identity_sha256", new_column_name="input_hash", existing_type=DIGEST, nullable=False
        )
    op.create_index("ix_quarantine_input_hash", "quarantine", ["input_hash"])
