"""The tables of the ledger. `make check` compares them with the migrations in store/migrations.

The partial indexes are in store/migrations/partial_indexes.py.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator

from models.text.redaction import redact_stored


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware datetime. SQLite stores no zone, so values are stored as UTC; naive values are rejected."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; raises ValueError for a naive datetime."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the ledger does not store naive datetimes")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Return the value as timezone-aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class RedactedJson(TypeDecorator[Any]):
    """JSON that is redacted before it is stored."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy's signature
        """Redact every string in the value."""
        return redact_stored(value)


class RedactedText(TypeDecorator[str]):
    """Text that is redacted before it is stored."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # as above
        """Redact the text."""
        stored: str | None = redact_stored(value)
        return stored


IN_FLIGHT_CLAUSE = text("status IN ('ACCEPTED', 'SUBMITTING', 'TRAINING')")
"""Matches provisionings in flight. SQLite uses a partial index only if the query repeats this text."""
TIMED_OUT_CLAUSE = text("status = 'TIMED_OUT'")
HAS_BATCH_CLAUSE = text("batch_id IS NOT NULL")
HAS_AVATAR_CLAUSE = text("avatar_id IS NOT NULL")
HAS_VOICE_CLAUSE = text("voice_id IS NOT NULL")
OPEN_CLONE_CLAUSE = text("state IN ('PENDING', 'UNKNOWN', 'CREATED')")
OWN_VOICE_CLAUSE = text("voice_id IS NOT NULL AND NOT (kind = 'image' AND voice_source = 'given')")
"""Matches voices of one provisioning only. An image request may name a voice that other requests name, too."""
IMAGE_CLAUSE = text("kind = 'image'")
VOICE_DUE_CLAUSE = text("voice_due_at IS NOT NULL")

# SQLite assigns ids automatically only to a column of the exact type INTEGER.
AutoIncrementId = BigInteger().with_variant(Integer(), "sqlite")
IdType = String(36)
CodeType = String(32)
Text256 = String(256)


METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""The tables, with a naming convention for constraints, so that migrations can refer to them by name."""

provisioning_table = Table(
    "provisionings",
    METADATA,
    Column("id", IdType, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("reference", Text256, unique=True, nullable=False),
    Column("request", JSON, nullable=False),
    Column("request_fingerprint", String(64), nullable=False),
    Column("status", CodeType, nullable=False),
    Column("avatar_id", Text256, index=True, unique=True),
    Column("raw_status", Text256),
    Column("reasons", RedactedJson, nullable=False),
    Column("retrain_count", Integer, nullable=False),
    Column("submission_count", Integer, nullable=False),
    Column("training_started_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("flow_run_id", IdType),
    Column("avatar_snapshot", RedactedJson),
    Column("media_facts", RedactedJson),
    Column("lease_owner", Text256),
    Column("lease_expires_at", UtcDateTime),
    Column("erased_at", UtcDateTime),
    Column("not_found_since", UtcDateTime),
    Column("name", Text256),
    Column("batch_id", IdType),
    Column("kind", CodeType, nullable=False, server_default="video"),
    Column("voice_id", Text256),
    Column("voice_source", CodeType),
    Column("voice_due_at", UtcDateTime),
    Index("ix_provisionings_status_created_at_id", "status", "created_at", "id"),
    Index("ix_provisionings_name_status_created_at_id", "name", "status", "created_at", "id"),
)
"""One provisioning in its current state. `version` is incremented by every write of status or lease owner.

`request` is the only column of the ledger with complete URLs: the create request needs them. `kind` decides which
fields it has (models/request_kinds.py). `name` repeats its name, for an index. `batch_id` is the batch that took
the provisioning last; SQLite adds no foreign key to a table.
"""

extra_table = Table(
    "extras",
    METADATA,
    Column("provisioning_id", IdType, ForeignKey("provisionings.id"), primary_key=True),
    Column("key", Text256, primary_key=True),
    Column("value", Text256, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_extras_key_value_created_at_provisioning_id", "key", "value", "created_at", "provisioning_id"),
)
"""A pair of the extras of a request, for queries. `created_at` is that of its provisioning, the order of a list."""

batch_table = Table(
    "batches",
    METADATA,
    Column("id", IdType, primary_key=True),
    Column("manifest", RedactedText),
    Column("manifest_sha256", String(64), nullable=False),
    Column("started_by", Text256, nullable=False),
    Column("flow_run_id", IdType),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("row_count", Integer, nullable=False),
    Column("invalid_count", Integer, nullable=False),
    Column("cancelled_at", UtcDateTime),
    Index("ix_batches_started_at_id", "started_at", "id"),
)
"""A batch: one run of `avatars batch` or of the flow `provision-batch`; see models/batch_record.py.

The provisionings have the counts per status. `invalid_count` is the number of rows that have no provisioning.
"""

submission_table = Table(
    "submissions",
    METADATA,
    Column("id", IdType, primary_key=True),
    Column("provisioning_id", IdType, ForeignKey("provisionings.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("state", CodeType, nullable=False),
    Column("avatar_id", Text256),
    Column("http_status", Integer),
    Column("response", RedactedJson),
    Column("created_at", UtcDateTime, nullable=False),
    Column("state_changed_at", UtcDateTime, nullable=False),
    Column("request_fingerprint", String(64)),
    Column("batch_id", IdType),
    UniqueConstraint("provisioning_id", "ordinal", name="uq_submissions_provisioning_id_ordinal"),
)
"""One submission, committed before it is sent; see models/provisioning.py.

`batch_id` is the batch that it counts for: that of its provisioning when it was recorded.
"""

evidence_table = Table(
    "evidence",
    METADATA,
    Column("id", AutoIncrementId, primary_key=True),
    Column("provisioning_id", IdType, ForeignKey("provisionings.id"), index=True, nullable=False),
    Column("submission_id", IdType, ForeignKey("submissions.id"), unique=True, nullable=False),
    Column("reference", Text256, nullable=False),
    Column("actor", Text256, nullable=False),
    Column("flow_run_id", IdType),
    Column("dataset", RedactedJson, nullable=False),
    Column("consent", RedactedJson, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("image", RedactedJson),
    Column("voice_sample", RedactedJson),
)
"""The evidence for one submission: a column for each role of a recording, JSON null or NULL without one.

Database triggers enforce that rows are only inserted.
"""

duplicate_table = Table(
    "duplicates",
    METADATA,
    Column("avatar_id", Text256, primary_key=True),
    Column("provisioning_id", IdType, ForeignKey("provisionings.id"), index=True, nullable=False),
    Column("submission_id", IdType, nullable=False),
    Column("detected_at", UtcDateTime, nullable=False),
)
"""An additional avatar of a provisioning at Argil: paid for, unused and reported once."""

suspended_run_table = Table(
    "suspended_runs",
    METADATA,
    Column("flow_run_id", IdType, primary_key=True),
    Column("provisioning_id", IdType, ForeignKey("provisionings.id"), index=True, nullable=False),
    Column("suspended_at", UtcDateTime, nullable=False),
)
"""A Prefect run that is suspended until its provisioning is terminal."""

caller_table = Table(
    "callers",
    METADATA,
    Column("provisioning_id", IdType, ForeignKey("provisionings.id"), primary_key=True),
    Column("caller_id", IdType, primary_key=True),
    Column("action", CodeType, primary_key=True),
    Column("called_at", UtcDateTime, nullable=False),
)
"""A flow run or command that asked for a provisioning: its first call may re-open it, its later calls only attach.

Apart from the events, because those are moved to archives.
"""

observation_table = Table(
    "observations",
    METADATA,
    Column("name", CodeType, primary_key=True),
    Column("observed_at", UtcDateTime, nullable=False),
)
"""When the service last did what it does regularly; see store/observations.py."""

counter_table = Table(
    "counters",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("count", Integer, nullable=False),
)
"""How many submissions of a UTC day (`day:2026-11-27`) or a batch (`batch:ID`) are not NOT_CREATED.

Each change of a submission changes its counters in the same transaction; see store/counters.py.
"""

pause_table = Table(
    "pauses",
    METADATA,
    Column("api_key_sha256", String(64), primary_key=True),
    Column("cause", CodeType, primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("probe_id", Text256),
)
"""A pause of all requests or submissions with one API key; see store/pauses.py.

`probe_id` is the submission that may end it, or the provisioning or lease owner that may record that submission.
"""
tick_lease_table = Table(
    "tick_leases",
    METADATA,
    Column("name", CodeType, primary_key=True),
    Column("owner_id", Text256),
    Column("holder", Text256, nullable=False),
    Column("acquired_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("position", Text256),
)
"""The exclusive right to run one schedule on this ledger; `owner_id` is NULL after a release."""

voice_clone_table = Table(
    "voice_clones",
    METADATA,
    Column("id", IdType, primary_key=True),
    Column("provisioning_id", IdType, ForeignKey("provisionings.id"), index=True, nullable=False),
    Column("sample_sha256", String(64), nullable=False),
    Column("name", RedactedText),
    Column("state", CodeType, nullable=False),
    Column("voice_id", Text256),
    Column("created_at", UtcDateTime, nullable=False),
    Column("state_changed_at", UtcDateTime, nullable=False),
)
"""One POST /voices, committed before it is sent; see models/argil/voice_clone.py."""

unknown_avatar_table = Table(
    "unknown_avatars",
    METADATA,
    Column("submission_id", IdType, primary_key=True),
    Column("avatar_id", Text256),
    Column("name", RedactedText, nullable=False),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("ignored_at", UtcDateTime, index=True),
    Column("ignored_by", Text256),
)
"""An avatar at Argil whose submission this ledger does not know, and who decided to ignore it and when."""

upload_table = Table(
    "uploads",
    METADATA,
    Column("uri", Text, primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("actor", Text256, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),
)
"""A file that a command uploaded to AVATARS_UPLOAD_URL, recorded before it is sent; see store/uploads.py.

`used_at` is when a command last needed it, `completed_at` when the object was complete.
"""

upload_use_table = Table(
    "upload_uses",
    METADATA,
    Column("uri", Text, ForeignKey("uploads.uri", ondelete="CASCADE"), primary_key=True),
    Column("provisioning_id", IdType, ForeignKey("provisionings.id"), primary_key=True, index=True),
    Column("created_at", UtcDateTime, nullable=False),
)
"""A provisioning that names an upload, or named it before its request was replaced."""

event_table = Table(
    "events",
    METADATA,
    Column("id", AutoIncrementId, primary_key=True),
    Column("provisioning_id", IdType, ForeignKey("provisionings.id"), index=True, nullable=False),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("actor", Text256, nullable=False),
    Column("from_status", CodeType),
    Column("to_status", CodeType, nullable=False),
    Column("message", RedactedText, nullable=False),
    Column("raw_status", Text256),
    Column("flow_run_id", IdType),
    Column("submission_id", IdType),
)
"""An event of a provisioning. Rows are inserted or moved to an archive; an erasure replaces their messages."""

quarantine_table = Table(
    "quarantine",
    METADATA,
    Column("id", AutoIncrementId, primary_key=True),
    Column("provisioning_id", IdType, ForeignKey("provisionings.id"), index=True, nullable=False),
    Column("identity_sha256", String(64), index=True),
    Column("legacy_identity_sha256", String(64), index=True),
    Column("content_sha256", String(64), index=True),
    Column("sample_sha256", String(64), index=True),
    Column("input_identity", Text, nullable=False),
    Column("etag", Text256),
    Column("size_bytes", BigInteger),
    Column("quarantined_at", UtcDateTime, nullable=False),
    Column("released_at", UtcDateTime),
    Column("release_reason", RedactedText),
    Index("ix_quarantine_etag_size_bytes", "etag", "size_bytes"),
)
"""A recording of a refused avatar: requests with it are rejected until an operator releases it.

`legacy_identity_sha256` identifies a recording that was erased before revision `recording_identity`; the others
have `identity_sha256`. models/recordings/identity.py explains the digests.
"""

webhook_delivery_table = Table(
    "webhook_deliveries",
    METADATA,
    Column("id", AutoIncrementId, primary_key=True),
    Column("digest", String(64), unique=True, nullable=False),
    Column("event", CodeType, nullable=False),
    Column("avatar_id", Text256, index=True, nullable=False),
    Column("body", RedactedText, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("voice_id", Text256),
)
"""A webhook delivery, which triggers an early poll. The newest row is kept, so that ids only increase."""
