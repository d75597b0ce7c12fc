"""What may be submitted now: the spend guard, the pauses that responses of Argil's cause, and their rules.

The ledger enforces both when a submission is recorded (store/counters.py, store/pauses.py). `LimitState.require` is
the same rule ahead of time, before recordings are checked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from models.argil.video_create import VIDEO_CREATE_REMEDY
from models.clock import MAX_CLOCK_DIFFERENCE
from models.errors import (
    ArgilPaymentRequired,
    ArgilVideoCreateRemoved,
    AvatarsError,
    BatchBudgetUsed,
    DayBudgetUsed,
    PaymentPaused,
    RatePaused,
    SubmissionPaused,
    VideoCreatePaused,
)
from models.request import RequestKind
from models.spend_limits import SpendLimits
from models.text.plural import counted

MAX_PAUSE = timedelta(minutes=15)
"""The longest pause: a longer Retry-After is cut, and a probe follows so long after the previous submission."""


class PauseCause(StrEnum):
    """Why requests with one API key pause."""

    RATE = "rate"
    """Argil answered 429 with Retry-After: every request waits until then."""
    PAYMENT = "payment"
    """Argil answered 402: no avatar is created until a probe succeeds."""
    VIDEO_CREATE = "video-create"
    """Argil no longer creates avatars from videos: none is submitted until a probe succeeds."""

    def applies_to(self, kind: RequestKind) -> bool:
        """Return whether requests of this kind pause. The others go on."""
        return self is not PauseCause.VIDEO_CREATE or kind is RequestKind.VIDEO

    @property
    def is_probed(self) -> bool:
        """Whether a submission ends the pause. The others end by themselves."""
        return self is not PauseCause.RATE


_ERRORS: dict[PauseCause, tuple[type[SubmissionPaused], str, str]] = {
    PauseCause.RATE: (RatePaused, "Argil limits the rate of requests (429)", "wait until Argil accepts requests"),
    PauseCause.PAYMENT: (PaymentPaused, "Argil asked for payment (402)", "top up the Argil account"),
    PauseCause.VIDEO_CREATE: (
        VideoCreatePaused,
        "Argil no longer creates avatars from videos",
        VIDEO_CREATE_REMEDY,
    ),
}


def pause_after(error: AvatarsError) -> PauseCause | None:
    """Return the pause that an error of a submission causes, None if it causes none."""
    causes: dict[type[AvatarsError], PauseCause] = {
        ArgilPaymentRequired: PauseCause.PAYMENT,
        ArgilVideoCreateRemoved: PauseCause.VIDEO_CREATE,
    }
    return causes.get(type(error))


@dataclass(frozen=True, slots=True)
class SubmissionGuard:
    """What a submission must pass. `api_key_sha256` is the SHA-256 of the API key: pauses apply to one key."""

    limits: SpendLimits = field(default_factory=SpendLimits)
    api_key_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause of one API key, since and until a time. A probe may be sent after `until`.

    `probe_id` is the latest probe, or that for which it is reserved; None before the first one.
    """

    cause: PauseCause
    started_at: datetime
    until: datetime
    probe_id: str | None = None

    def stands(self, now: datetime) -> bool:
        """Return whether it applies. An end further ahead than that of any pause is from before a clock step."""
        return now < self.until <= latest_end(now)

    @property
    def remedy(self) -> str:
        """What a person does about it."""
        return _ERRORS[self.cause][2]

    def error(self, now: datetime) -> SubmissionPaused:
        """Return the operational error of a provisioning that waits. Its text stays the same while it waits."""
        kind, message, _ = _ERRORS[self.cause]
        seconds = (self.until - now).total_seconds() if self.stands(now) else 0.0
        hint = f"{self.remedy}; `avatars doctor` names the end, and `provision-pending` goes on by itself"
        return kind(f"nothing is submitted: {message}", hint=hint, retry_after_seconds=seconds)

    def describe(self, now: datetime) -> str:
        """Return the cause, its time and its end for people."""
        text = f"{self.cause}: {_ERRORS[self.cause][1]} at {self.started_at:%Y-%m-%d %H:%M:%S} UTC; "
        if self.cause.is_probed:
            moment = f"after {self.until:%Y-%m-%d %H:%M:%S} UTC" if self.stands(now) else "now"
            return f"{text}the next submission is tried {moment}, and its success ends the pause; {self.remedy}"
        return f"{text}every request waits until {self.until:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class LimitState:
    """The counters and pauses of the ledger at one time."""

    now: datetime
    limits: SpendLimits
    created_today: int
    """Submissions of this UTC day, without those for which Argil certainly created nothing."""
    pauses: tuple[Pause, ...]
    """The pauses that stand, and those that wait for a probe."""
    batch_id: str | None = None
    created_in_batch: int = 0
    """The submissions of the batch, counted as those of the day."""

    @property
    def pauses_requests(self) -> bool:
        """Whether Argil limits the rate of requests now: each request would wait for the end of that pause."""
        return any(pause.cause is PauseCause.RATE and pause.stands(self.now) for pause in self.pauses)

    def of_kind(self, kind: RequestKind) -> LimitState:
        """Return the state without the pauses that do not apply to requests of this kind."""
        return replace(self, pauses=tuple(pause for pause in self.pauses if pause.cause.applies_to(kind)))

    def require(self, *, reserved_by: Collection[str] = ()) -> None:
        """Raise the operational error that prevents a submission now, if there is one.

        Args:
            reserved_by: The ids for which the probe of a pause may be reserved.

        Raises:
            SubmissionPaused: A pause stands, and its probe is not reserved for any of these ids.
            DayBudgetUsed: AVATARS_MAX_CREATES_PER_DAY is used up.
            BatchBudgetUsed: AVATARS_MAX_CREATES_PER_BATCH is used up.
        """
        for pause in self.pauses:
            if pause.stands(self.now) and not (pause.cause.is_probed and pause.probe_id in reserved_by):
                raise pause.error(self.now)
        if self.limits.per_day is not None and self.created_today >= self.limits.per_day:
            raise day_budget_used(self.limits.per_day)
        per_batch = self.limits.per_batch
        if self.batch_id is not None and per_batch is not None and self.created_in_batch >= per_batch:
            raise batch_budget_used(self.batch_id, per_batch)

    def describe_budget(self) -> str:
        """Return how many avatars may still be created today, for people."""
        if self.limits.per_day is None:
            return f"{counted(self.created_today, 'submission')} today (UTC), no limit"
        left = max(self.limits.per_day - self.created_today, 0)
        again = "" if left else "; the next UTC day goes on by itself"
        return (
            f"{self.created_today} of AVATARS_MAX_CREATES_PER_DAY={self.limits.per_day} submissions today (UTC), "
            f"{left} left{again}"
        )

    def describe(self) -> list[str]:
        """Return a line for each pause, and one for each budget that has a limit."""
        lines = [pause.describe(self.now) for pause in self.pauses]
        if self.limits.per_day is not None:
            lines.append(self.describe_budget())
        if self.batch_id is not None and self.limits.per_batch is not None:
            limit = f"AVATARS_MAX_CREATES_PER_BATCH={self.limits.per_batch}"
            left = max(self.limits.per_batch - self.created_in_batch, 0)
            lines.append(f"{self.created_in_batch} of {limit} submissions of this batch, {left} left")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return the limits as JSON values, as `avatars show --json` prints them."""
        return {
            "created_today": self.created_today,
            "created_in_batch": self.created_in_batch,
            "max_creates_per_day": self.limits.per_day,
            "max_creates_per_batch": self.limits.per_batch,
            "pauses": [
                {
                    "cause": pause.cause.value,
                    "started_at": pause.started_at.isoformat().replace("+00:00", "Z"),
                    "until": pause.until.isoformat().replace("+00:00", "Z"),
                }
                for pause in self.pauses
            ],
        }


def latest_end(now: datetime) -> datetime:
    """Return the latest time until which a pause that was stored by now can apply."""
    return now + MAX_PAUSE + MAX_CLOCK_DIFFERENCE


def digest_api_key(api_key: str) -> str:
    """Return the SHA-256 of an API key, by which pauses name it."""
    return hashlib.sha256(api_key.encode()).hexdigest()


def day_counter(moment: datetime) -> str:
    """Return the name of the counter of a moment's UTC day, for example `day:2026-11-27`.

    The moment may have another zone, as in a response of Argil's. The ledger stores it as UTC.
    """
    return f"day:{moment.astimezone(UTC):%Y-%m-%d}"


def batch_counter(batch_id: str) -> str:
    """Return the name of the counter of a batch."""
    return f"batch:{batch_id}"


def day_budget_used(limit: int) -> DayBudgetUsed:
    """Return the operational error of a provisioning beyond AVATARS_MAX_CREATES_PER_DAY."""
    return DayBudgetUsed(
        f"nothing more is submitted today (UTC): AVATARS_MAX_CREATES_PER_DAY={limit} is used up",
        hint="wait: `provision-pending` goes on by itself the next UTC day; or raise AVATARS_MAX_CREATES_PER_DAY",
    )


def batch_budget_used(batch_id: str, limit: int) -> BatchBudgetUsed:
    """Return the operational error of a provisioning beyond AVATARS_MAX_CREATES_PER_BATCH."""
    return BatchBudgetUsed(
        f"nothing more is submitted for batch {batch_id}: AVATARS_MAX_CREATES_PER_BATCH={limit} is used up",
        hint="run the batch again, which is another batch; or raise AVATARS_MAX_CREATES_PER_BATCH",
    )
