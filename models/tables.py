"""The ledger's tables. Migrations in store/migrations must match: `make check` compares them."""

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
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment. SQLite keeps no zone, so it is stored and read as UTC; naive values are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn into UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the ledger")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Make aware again."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite numbers rows by itself only in a column of the exact type INTEGER.
Counter = BigInteger().with_variant(Integer(), "sqlite")
Id = String(36)
Code = String(32)
Text256 = String(256)


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can name it too."""

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
    """One avatar asked for: where it stands now. `version` grows with every write of status or lease owner."""

    __tablename__ = "provisionings"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    version: Mapped[int]
    reference: Mapped[str] = mapped_column(Text256, unique=True)
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    request_identity: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(Code)
    avatar_id: Mapped[str | None] = mapped_column(Text256, index=True)
    raw_status: Mapped[str | None] = mapped_column(Text256)
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    retrains: Mapped[int]
    submissions: Mapped[int]
    training_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    flow_run_id: Mapped[str | None] = mapped_column(Id, index=True)
    avatar: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    media: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    lease_owner: Mapped[str | None] = mapped_column(Text256)
    lease_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    forgotten_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_provisionings_status_created_at_id", "status", "created_at", "id"),)


class SubmissionRow(Base):
    """One POST /avatars, written before it is sent."""

    __tablename__ = "submissions"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    provisioning_id: Mapped[str] = mapped_column(Id, ForeignKey("provisionings.id"))
    ordinal: Mapped[int]
    state: Mapped[str] = mapped_column(Code)
    avatar_id: Mapped[str | None] = mapped_column(Text256)
    http_status: Mapped[int | None]
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        UniqueConstraint("provisioning_id", "ordinal", name="uq_submissions_provisioning_id_ordinal"),
    )


class EvidenceRow(Base):
    """What a submission is made of; rows are only ever added, which triggers of the database hold."""

    __tablename__ = "evidence"

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    provisioning_id: Mapped[str] = mapped_column(Id, ForeignKey("provisionings.id"), index=True)
    submission_id: Mapped[str] = mapped_column(Id, ForeignKey("submissions.id"), unique=True)
    reference: Mapped[str] = mapped_column(Text256)
    actor: Mapped[str] = mapped_column(Text256)
    flow_run_id: Mapped[str | None] = mapped_column(Id)
    dataset: Mapped[dict[str, Any]] = mapped_column(JSON)
    consent: Mapped[dict[str, Any]] = mapped_column(JSON)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class DuplicateRow(Base):
    """An avatar at Argil beyond the one of its provisioning: paid for, not used, reported once."""

    __tablename__ = "duplicates"

    avatar_id: Mapped[str] = mapped_column(Text256, primary_key=True)
    provisioning_id: Mapped[str] = mapped_column(Id, ForeignKey("provisionings.id"), index=True)
    submission_id: Mapped[str] = mapped_column(Id)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class SleeperRow(Base):
    """A Prefect run that suspended itself over a provisioning, until it has ended."""

    __tablename__ = "sleepers"

    flow_run_id: Mapped[str] = mapped_column(Id, primary_key=True)
    provisioning_id: Mapped[str] = mapped_column(Id, ForeignKey("provisionings.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class EventRow(Base):
    """Something that happened; rows are only ever added, and lose their words where a person is forgotten."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    provisioning_id: Mapped[str] = mapped_column(Id, ForeignKey("provisionings.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(Text256)
    from_status: Mapped[str | None] = mapped_column(Code)
    to_status: Mapped[str] = mapped_column(Code)
    why: Mapped[str] = mapped_column(Text)
    raw_status: Mapped[str | None] = mapped_column(Text256)
    flow_run_id: Mapped[str | None] = mapped_column(Id)
    submission_id: Mapped[str | None] = mapped_column(Id)


class QuarantineRow(Base):
    """A recording of a refused avatar: requests with it are rejected until a person releases it."""

    __tablename__ = "quarantine"

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    provisioning_id: Mapped[str] = mapped_column(Id, ForeignKey("provisionings.id"), index=True)
    input_hash: Mapped[str] = mapped_column(String(64), index=True)
    input_identity: Mapped[str] = mapped_column(Text)
    etag: Mapped[str | None] = mapped_column(Text256)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    released_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    released_why: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index("ix_quarantine_etag_size_bytes", "etag", "size_bytes"),)


class DeliveryRow(Base):
    """A webhook delivery: a hint that an avatar is worth a look. Rows are only ever added, their ids grow."""

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    event: Mapped[str] = mapped_column(Code)
    avatar_id: Mapped[str] = mapped_column(Text256)
    body: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
