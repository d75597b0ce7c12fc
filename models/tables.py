"""The tables of the ledger. `make check` compares them with the migrations in store/migrations."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from models.redaction import redact, redact_json


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
        return redact_json(value)


class RedactedText(TypeDecorator[str]):
    """Text that is redacted before it is stored."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # as above
        """Redact the text."""
        return None if value is None else redact(value)


IN_FLIGHT_CLAUSE = text("status IN ('ACCEPTED', 'SUBMITTING', 'TRAINING')")
"""Matches provisionings in flight. SQLite uses a partial index only if the query repeats this text."""
TIMED_OUT_CLAUSE = text("status = 'TIMED_OUT'")

# SQLite assigns ids automatically only to a column of the exact type INTEGER.
AutoIncrementId = BigInteger().with_variant(Integer(), "sqlite")
IdType = String(36)
CodeType = String(32)
Text256 = String(256)


class Base(DeclarativeBase):
    """Base class with a naming convention for constraints, so that migrations can refer to them by name."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ProvisioningRow(Base):
    """One provisioning in its current state. `version` is incremented by every write of status or lease owner.

    `request` is the only column of the ledger with complete URLs: the create request needs them.
    """

    __tablename__ = "provisionings"

    id: Mapped[str] = mapped_column(IdType, primary_key=True)
    version: Mapped[int]
    reference: Mapped[str] = mapped_column(Text256, unique=True)
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    request_fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(CodeType)
    avatar_id: Mapped[str | None] = mapped_column(Text256, index=True)
    raw_status: Mapped[str | None] = mapped_column(Text256)
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(RedactedJson)
    retrain_count: Mapped[int]
    submission_count: Mapped[int]
    training_started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    flow_run_id: Mapped[str | None] = mapped_column(IdType)
    avatar_snapshot: Mapped[dict[str, Any] | None] = mapped_column(RedactedJson)
    media_facts: Mapped[dict[str, Any] | None] = mapped_column(RedactedJson)
    lease_owner: Mapped[str | None] = mapped_column(Text256)
    lease_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    # PostgreSQL updates every index on each status change; indexes for few rows are therefore partial.
    __table_args__ = (
        Index("ix_provisionings_status_created_at_id", "status", "created_at", "id"),
        Index(
            "ix_provisionings_in_flight_flow_run_id",
            "flow_run_id",
            sqlite_where=IN_FLIGHT_CLAUSE,
            postgresql_where=IN_FLIGHT_CLAUSE,
        ),
        Index(
            "ix_provisionings_timed_out_updated_at_id",
            "status",
            "updated_at",
            "id",
            sqlite_where=TIMED_OUT_CLAUSE,
            postgresql_where=TIMED_OUT_CLAUSE,
        ),
    )


class SubmissionRow(Base):
    """One submission, committed before it is sent; see models/provisioning.py."""

    __tablename__ = "submissions"

    id: Mapped[str] = mapped_column(IdType, primary_key=True)
    provisioning_id: Mapped[str] = mapped_column(IdType, ForeignKey("provisionings.id"))
    ordinal: Mapped[int]
    state: Mapped[str] = mapped_column(CodeType)
    avatar_id: Mapped[str | None] = mapped_column(Text256)
    http_status: Mapped[int | None]
    response: Mapped[dict[str, Any] | None] = mapped_column(RedactedJson)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state_changed_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("provisioning_id", "ordinal", name="uq_submissions_provisioning_id_ordinal"),
    )


class EvidenceRow(Base):
    """The evidence for one submission. Database triggers enforce that rows are only inserted."""

    __tablename__ = "evidence"

    id: Mapped[int] = mapped_column(AutoIncrementId, primary_key=True)
    provisioning_id: Mapped[str] = mapped_column(IdType, ForeignKey("provisionings.id"), index=True)
    submission_id: Mapped[str] = mapped_column(IdType, ForeignKey("submissions.id"), unique=True)
    reference: Mapped[str] = mapped_column(Text256)
    actor: Mapped[str] = mapped_column(Text256)
    flow_run_id: Mapped[str | None] = mapped_column(IdType)
    dataset: Mapped[dict[str, Any]] = mapped_column(RedactedJson)
    consent: Mapped[dict[str, Any]] = mapped_column(RedactedJson)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class DuplicateRow(Base):
    """An additional avatar of a provisioning at Argil: paid for, unused and reported once."""

    __tablename__ = "duplicates"

    avatar_id: Mapped[str] = mapped_column(Text256, primary_key=True)
    provisioning_id: Mapped[str] = mapped_column(IdType, ForeignKey("provisionings.id"), index=True)
    submission_id: Mapped[str] = mapped_column(IdType)
    detected_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SuspendedRunRow(Base):
    """A Prefect run that is suspended until its provisioning is terminal."""

    __tablename__ = "suspended_runs"

    flow_run_id: Mapped[str] = mapped_column(IdType, primary_key=True)
    provisioning_id: Mapped[str] = mapped_column(IdType, ForeignKey("provisionings.id"), index=True)
    suspended_at: Mapped[datetime] = mapped_column(UtcDateTime)


class EventRow(Base):
    """An event of a provisioning. Rows are inserted or moved to an archive; an erasure replaces their messages."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(AutoIncrementId, primary_key=True)
    provisioning_id: Mapped[str] = mapped_column(IdType, ForeignKey("provisionings.id"), index=True)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(Text256)
    from_status: Mapped[str | None] = mapped_column(CodeType)
    to_status: Mapped[str] = mapped_column(CodeType)
    message: Mapped[str] = mapped_column(RedactedText)
    raw_status: Mapped[str | None] = mapped_column(Text256)
    flow_run_id: Mapped[str | None] = mapped_column(IdType)
    submission_id: Mapped[str | None] = mapped_column(IdType)


class QuarantineRow(Base):
    """A recording of a refused avatar: requests with it are rejected until an operator releases it."""

    __tablename__ = "quarantine"

    id: Mapped[int] = mapped_column(AutoIncrementId, primary_key=True)
    provisioning_id: Mapped[str] = mapped_column(IdType, ForeignKey("provisionings.id"), index=True)
    input_hash: Mapped[str] = mapped_column(String(64), index=True)
    input_identity: Mapped[str] = mapped_column(Text)
    etag: Mapped[str | None] = mapped_column(Text256)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    quarantined_at: Mapped[datetime] = mapped_column(UtcDateTime)
    released_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    release_reason: Mapped[str | None] = mapped_column(RedactedText)

    __table_args__ = (Index("ix_quarantine_etag_size_bytes", "etag", "size_bytes"),)


class WebhookDeliveryRow(Base):
    """A webhook delivery, which triggers an early poll. The newest row is kept, so that ids only increase."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[int] = mapped_column(AutoIncrementId, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    event: Mapped[str] = mapped_column(CodeType)
    avatar_id: Mapped[str] = mapped_column(Text256, index=True)
    body: Mapped[str] = mapped_column(RedactedText)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
