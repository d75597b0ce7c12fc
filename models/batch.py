"""The progress of a batch and the result of each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from models.errors import ProvisioningErased
from models.image_request import CREDITS_PER_IMAGE, describe_credits
from models.manifest.validation import ManifestRow
from models.outcomes import OUTCOMES
from models.provisioning import Provisioning, Status
from models.reason import Reason
from models.request import RequestKind
from models.text.escaping import short_line
from models.text.plural import counted

PENDING = "NOT_STARTED"
"""The row has not been started yet."""
INVALID = "INVALID"
"""The row breaks a rule of the manifest and is not recorded in the ledger."""
WOULD_CREATE = "WOULD_CREATE"
WOULD_RESUME = "WOULD_RESUME"
WOULD_REJECT = "WOULD_REJECT"
CHECK_INCONCLUSIVE = "CHECK_INCONCLUSIVE"
"""A media host did not answer, so the row could not be checked."""

MAX_LABEL_CHARACTERS = 300
"""Of the line and the name of a row, which has at most 256 characters if it is valid."""
_DRY_RUN_OK = {WOULD_CREATE, WOULD_RESUME, Status.READY}
_STATE_NAMES = {
    INVALID: "Rejected",
    WOULD_REJECT: "Rejected",
    WOULD_CREATE: "Ready",
    WOULD_RESUME: "Ready",
    PENDING: "NotStarted",
    CHECK_INCONCLUSIVE: "CheckInconclusive",
}
_NON_FAILURE_STATES = {OUTCOMES[status].state_name for status in (Status.READY, Status.TRAINING)}
_FIELDS = ("line", "reference", "name", "status", "id", "avatar_id", "voice_id", "reasons", "warnings")


@dataclass(frozen=True, slots=True)
class RowResult:
    """The result of one row so far. The ids are None if they are not known."""

    line: int
    reference: str
    name: str
    status: str
    id: str | None = None
    avatar_id: str | None = None
    voice_id: str | None = None
    reasons: Sequence[Reason] = ()
    warnings: Sequence[Reason] = ()
    """Rules that its recordings break, but that do not reject it."""

    @classmethod
    def initial(cls, row: ManifestRow) -> RowResult:
        """Return the result of a row before it is started."""
        status = PENDING if row.request is not None else INVALID
        return cls(line=row.line, reference=row.reference, name=row.name, status=status, reasons=row.problems)

    def with_provisioning(self, provisioning: Provisioning) -> RowResult:
        """Return the row with the status of its provisioning; with one that was erased, the row is invalid."""
        if provisioning.erased_at is not None:
            return replace(
                self,
                status=INVALID,
                id=provisioning.id,
                reasons=[Reason.from_error(ProvisioningErased(provisioning.id))],
            )
        return replace(
            self,
            status=provisioning.status.value,
            id=provisioning.id,
            avatar_id=provisioning.avatar_id,
            voice_id=provisioning.voice_id,
            reasons=[reason.addressed_to(provisioning.id) for reason in provisioning.reasons],
        )

    def with_status(self, status: str, reasons: Sequence[Reason]) -> RowResult:
        """Return the row with a status of its own and the reasons for it."""
        return replace(self, status=status, reasons=[reason.addressed_to(self.id) for reason in reasons])

    def with_warnings(self, warnings: Sequence[Reason]) -> RowResult:
        """Return the row with the warnings of its media check."""
        return replace(self, warnings=warnings)

    @property
    def label(self) -> str:
        """The row as logs name it."""
        return short_line(f"line {self.line}, {self.name}", MAX_LABEL_CHARACTERS)

    @property
    def needs_attention(self) -> bool:
        """Whether the row has reasons that a person should read."""
        return bool(self.reasons) and self.status != Status.READY

    @property
    def reasons_text(self) -> str:
        """All reasons as one line of text."""
        return _join(self.reasons)

    @property
    def warnings_text(self) -> str:
        """All warnings as one line of text."""
        return _join(self.warnings)


def _join(reasons: Sequence[Reason]) -> str:
    return "; ".join(f"{reason.code}: {reason.message}" for reason in reasons)


def format_duration(seconds: float) -> str:
    """Return seconds as 1:02 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class BatchProgress:
    """The result of every row, the number of rows per status, and the time that they took.

    `attention` has the numbers of the finished rows that a person should read about, in the order in which they
    finished. `ended_at` is None until the batch has ended. Times are seconds of a monotonic clock.
    """

    def __init__(
        self,
        rows: Sequence[ManifestRow],
        started_at: float,
        *,
        is_dry_run: bool = False,
        batch_id: str | None = None,
    ) -> None:
        """Start with one row per manifest row.

        Args:
            rows: The rows of the manifest.
            started_at: Seconds of a monotonic clock.
            is_dry_run: Whether the rows are only checked.
            batch_id: The id of the batch in the ledger; None for a dry run, which is not on record.
        """
        self.rows = [RowResult.initial(row) for row in rows]
        self._images = {
            number
            for number, row in enumerate(rows)
            if row.request is not None and row.request.kind is RequestKind.IMAGE
        }
        self._created_images = 0
        self.counts = Counter(row.status for row in self.rows)
        self.started_at = started_at
        self.finished = self.counts[INVALID]
        self.initially_finished = self.finished
        self.limits: Sequence[str] = ()
        """The pauses and the budget of the day, one line each."""
        self.attention = [number for number, row in enumerate(self.rows) if row.needs_attention]
        self.is_dry_run = is_dry_run
        self.batch_id = batch_id
        self.ended_at: float | None = None

    def update_row(self, number: int, result: RowResult, *, finished: bool = False) -> None:
        """Replace the result of a row.

        Args:
            number: The index of the row, from 0.
            result: Its new result.
            finished: Whether this run will not process the row any further.
        """
        previous = self.rows[number]
        self.counts[previous.status] -= 1
        self.counts[result.status] += 1
        # A row that attaches has its avatar from the start: an earlier run created it.
        is_new = previous.status != PENDING and result.avatar_id not in (None, previous.avatar_id)
        self._created_images += is_new and number in self._images
        self.rows[number] = result
        self.finished += finished
        if finished and result.needs_attention:
            self.attention.append(number)

    @property
    def total(self) -> int:
        """The number of rows."""
        return len(self.rows)

    def elapsed_seconds(self, now: float) -> float:
        """Return the seconds since the start; they stop when the batch ends."""
        return (now if self.ended_at is None else self.ended_at) - self.started_at

    def rate(self, now: float) -> float:
        """Return the finished rows per second, averaged since the start."""
        return (self.finished - self.initially_finished) / max(self.elapsed_seconds(now), 1e-3)

    def eta_seconds(self, now: float) -> float | None:
        """Return the seconds remaining at the average rate, None before the first row has finished."""
        rate = self.rate(now)
        return (self.total - self.finished) / rate if rate > 0 else None

    @property
    def summary(self) -> str:
        """The counts as text, the most frequent status first."""
        return ", ".join(f"{count} {status}" for status, count in self.counts.most_common() if count > 0)

    def progress_text(self, now: float) -> str:
        """Return the counts with the elapsed time, the rate and the remaining time."""
        remaining = self.eta_seconds(now)
        eta = f", about {remaining:.0f} s left" if remaining is not None and self.finished < self.total else ""
        done = f"{self.finished:,} of {counted(self.total, 'row')} {self.verb}"
        return f"{done} ({self.summary_with_credits}); {self._pace(now)}{eta}"

    def result_text(self, now: float) -> str:
        """Return the counts of a batch that has ended, with its time and rate."""
        rows = counted(self.total, "row")
        if self.is_dry_run:
            rows = f"{rows} checked, nothing was sent"
        return f"{rows}: {self.summary_with_credits}; {self._pace(now)}"

    @property
    def summary_with_credits(self) -> str:
        """The counts, and what the avatars from images cost, or would cost after a dry run."""
        return "; ".join(filter(None, [self.summary, describe_credits(self._images_to_pay)]))

    @property
    def image_credits(self) -> int:
        """The credits of the avatars from images that this batch created, or would create after a dry run."""
        return CREDITS_PER_IMAGE * self._images_to_pay

    @property
    def _images_to_pay(self) -> int:
        if not self.is_dry_run:
            return self._created_images
        return sum(self.rows[number].status == WOULD_CREATE for number in self._images)

    @property
    def verb(self) -> str:
        """What became of a row that is done: finished, in a dry run checked."""
        return "checked" if self.is_dry_run else "finished"

    def _pace(self, now: float) -> str:
        return f"{format_duration(self.elapsed_seconds(now))} elapsed, {self.rate(now):.1f} rows/s"

    @property
    def all_ready(self) -> bool:
        """Whether every row is READY."""
        return self.counts[Status.READY] == self.total

    @property
    def all_would_succeed(self) -> bool:
        """Whether every row is expected to succeed, as far as a dry run can determine."""
        return sum(self.counts[status] for status in _DRY_RUN_OK) == self.total

    @property
    def state_name(self) -> str:
        """The name of the run's final state: the most frequent failure among the rows.

        Without a failure it is Training if any row is still training, else Ready.
        """
        names: Counter[str] = Counter()
        for status, count in self.counts.items():
            names[_STATE_NAMES.get(status) or OUTCOMES[Status(status)].state_name] += count
        failures = [name for name, count in names.most_common() if count > 0 and name not in _NON_FAILURE_STATES]
        training = names[OUTCOMES[Status.TRAINING].state_name] > 0
        return failures[0] if failures else OUTCOMES[Status.TRAINING if training else Status.READY].state_name

    def to_json_rows(self) -> list[dict[str, Any]]:
        """Return every row as JSON-compatible values."""
        return [
            {name: getattr(row, name) for name in _FIELDS}
            | {
                name: [reason.model_dump(mode="json") for reason in reasons]
                for name, reasons in (("reasons", row.reasons), ("warnings", row.warnings))
            }
            for row in self.rows
        ]
