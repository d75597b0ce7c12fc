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
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from models.redaction import redact, redact_json


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


class RedactedJson(TypeDecorator[Any]):
    """JSON that is stored without secrets."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy's signature
        """Redact every text in it."""
        return redact_json(value)


class RedactedText(TypeDecorator[str]):
    """Text that is stored without secrets."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # as above
        """Redact it."""
        return None if value is None else redact(value)


IN_FLIGHT = text("status IN ('ACCEPTED', 'SUBMITTING', 'TRAINING')")
"""What is open. SQLite uses an index of a part of a table only where the query names the part in the same words."""
TIMED_OUT = text("status = 'TIMED_OUT'")

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
    """One avatar asked for: where it stands now. `version` grows with every write of status or lease owner.

    `request` is the one column of the ledger that holds URLs whole: the create needs them.
    """

    __tablename__ = "provisionings"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    version: Mapped[int]
    reference: Mapped[str] = mapped_column(Text256, unique=True)
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    request_identity: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(Code)
    avatar_id: Mapped[str | None] = mapped_column(Text256, index=True)
    raw_status: Mapped[str | None] = mapped_column(Text256)
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(RedactedJson)
    retrains: Mapped[int]
    submissions: Mapped[int]
    training_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    flow_run_id: Mapped[str | None] = mapped_column(Id)
    avatar: Mapped[dict[str, Any] | None] = mapped_column(RedactedJson)
    media: Mapped[dict[str, Any] | None] = mapped_column(RedactedJson)
    lease_owner: Mapped[str | None] = mapped_column(Text256)
    lease_expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    forgotten_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    # PostgreSQL writes into every index at each change of status: those that serve few rows hold no others.
    __table_args__ = (
        Index("ix_provisionings_status_created_at_id", "status", "created_at", "id"),
        Index(
            "ix_provisionings_in_flight_flow_run_id",
            "flow_run_id",
            sqlite_where=IN_FLIGHT,
            postgresql_where=IN_FLIGHT,
        ),
        Index(
            "ix_provisionings_timed_out_updated_at_id",
            "status",
            "updated_at",
            "id",
            sqlite_where=TIMED_OUT,
            postgresql_where=TIMED_OUT,
        ),
    )


class SubmissionRow(Base):
    """One POST /avatars, written before it is sent."""

    __tablename__ = "submissions"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    provisioning_id: Mapped[str] = mapped_column(Id, ForeignKey("provisionings.id"))
    ordinal: Mapped[int]
    state: Mapped[str] = mapped_column(Code)
    avatar_id: Mapped[str | None] = mapped_column(Text256)
    http_status: Mapped[int | None]
    answer: Mapped[dict[str, Any] | None] = mapped_column(RedactedJson)
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
    dataset: Mapped[dict[str, Any]] = mapped_column(RedactedJson)
    consent: Mapped[dict[str, Any]] = mapped_column(RedactedJson)
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
    """Something that happened; rows are added, or moved to an archive; forgetting a person blanks words."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    provisioning_id: Mapped[str] = mapped_column(Id, ForeignKey("provisionings.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(Text256)
    from_status: Mapped[str | None] = mapped_column(Code)
    to_status: Mapped[str] = mapped_column(Code)
    why: Mapped[str] = mapped_column(RedactedText)
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
    released_why: Mapped[str | None] = mapped_column(RedactedText)

    __table_args__ = (Index("ix_quarantine_etag_size_bytes", "etag", "size_bytes"),)


class DeliveryRow(Base):
    """A webhook delivery: a hint that an avatar is worth a look. The newest stays for good, so that ids grow."""

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(Counter, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    event: Mapped[str] = mapped_column(Code)
    avatar_id: Mapped[str] = mapped_column(Text256, index=True)
    body: Mapped[str] = mapped_column(RedactedText)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
