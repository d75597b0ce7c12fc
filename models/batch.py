"""What a batch has come to, row by row: kept while it runs, told while it runs and in the end."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from models.manifest import ManifestRow
from models.outcomes import OUTCOMES
from models.provisioning import Provisioning, Status
from models.reason import Reason

WAITING = "WAITING"
"""Its turn has not come yet."""
INVALID = "INVALID"
"""The row breaks a rule of the manifest; the ledger holds nothing of it."""
WOULD_CREATE = "WOULD_CREATE"
WOULD_GO_ON = "WOULD_GO_ON"
WOULD_REJECT = "WOULD_REJECT"
UNKNOWN = "UNKNOWN"
"""A video host gave no answer, so nothing is known of the row."""

_GOOD_WHEN_DRY = {WOULD_CREATE, WOULD_GO_ON, Status.READY}
_WORDS = {INVALID: "Rejected", WOULD_REJECT: "Rejected", WOULD_CREATE: "Ready", WOULD_GO_ON: "Ready"}
_NOT_WRONG = {OUTCOMES[status].state_name for status in (Status.READY, Status.TRAINING)}
_FIELDS = ("line", "reference", "name", "status", "id", "avatar_id", "reasons")


@dataclass(frozen=True, slots=True)
class RowResult:
    """Where one row stands. `id` and `avatar_id` are None where there is no provisioning, or no avatar."""

    line: int
    reference: str
    name: str
    status: str
    id: str | None = None
    avatar_id: str | None = None
    reasons: Sequence[Reason] = ()

    @classmethod
    def begin(cls, row: ManifestRow) -> RowResult:
        """Return where a row stands before anything was done."""
        status = WAITING if row.request is not None else INVALID
        return cls(line=row.line, reference=row.reference, name=row.name, status=status, reasons=row.problems)

    def at(self, provisioning: Provisioning) -> RowResult:
        """Return the row where its provisioning stands."""
        return replace(
            self,
            status=provisioning.status.value,
            id=provisioning.id,
            avatar_id=provisioning.avatar_id,
            reasons=provisioning.reasons,
        )

    def stopped(self, status: str, reasons: Sequence[Reason]) -> RowResult:
        """Return the row where something keeps it from going on."""
        return replace(self, status=status, reasons=reasons)

    @property
    def told(self) -> str:
        """The reasons as one text."""
        return "; ".join(f"{reason.code}: {reason.message}" for reason in self.reasons)


class Tally:
    """Every row's result, and how many stand where."""

    def __init__(self, rows: Sequence[ManifestRow], began: float) -> None:
        """`began` is monotonic seconds."""
        self.rows = [RowResult.begin(row) for row in rows]
        self.counts = Counter(row.status for row in self.rows)
        self.began = began
        self.settled = self.counts[INVALID]
        self.settled_before = self.settled

    def put(self, number: int, result: RowResult, *, settled: bool = False) -> None:
        """Replace the result of a row by its place, from 0; settled: nothing more will come of it in this run."""
        self.counts[self.rows[number].status] -= 1
        self.counts[result.status] += 1
        self.rows[number] = result
        self.settled += settled

    @property
    def total(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    def rate(self, now: float) -> float:
        """Return the rows settled a second, on average since the beginning."""
        return (self.settled - self.settled_before) / max(now - self.began, 1e-3)

    def seconds_left(self, now: float) -> float | None:
        """Return what is left at that rate, None where nothing tells."""
        rate = self.rate(now)
        return (self.total - self.settled) / rate if rate > 0 else None

    @property
    def told(self) -> str:
        """The counts as words, the most frequent first."""
        return ", ".join(f"{count} {status}" for status, count in self.counts.most_common() if count > 0)

    def told_with_pace(self, now: float) -> str:
        """Return the counts with rate and time left."""
        left = self.seconds_left(now)
        about = f", about {left:.0f} s left" if left is not None and self.settled < self.total else ""
        return f"{self.settled} of {self.total} rows settled ({self.told}); {self.rate(now):.1f}/s{about}"

    @property
    def all_ready(self) -> bool:
        """Whether every row is READY."""
        return self.counts[Status.READY] == self.total

    @property
    def all_would_go(self) -> bool:
        """Whether a run would leave no row behind for what is known now."""
        return sum(self.counts[status] for status in _GOOD_WHEN_DRY) == self.total

    @property
    def state_name(self) -> str:
        """The name of the run's final state: that of the most frequent outcome in which a row went wrong.

        None went wrong: Training where some still are, else Ready.
        """
        names: Counter[str] = Counter()
        for status, count in self.counts.items():
            names[_WORDS.get(status) or _state_name(status)] += count
        wrong = [name for name, count in names.most_common() if count > 0 and name not in _NOT_WRONG]
        training = names[OUTCOMES[Status.TRAINING].state_name] > 0
        return wrong[0] if wrong else OUTCOMES[Status.TRAINING if training else Status.READY].state_name

    def documents(self) -> list[dict[str, Any]]:
        """Return every row as JSON values."""
        return [
            {name: getattr(row, name) for name in _FIELDS}
            | {"reasons": [reason.model_dump(mode="json") for reason in row.reasons]}
            for row in self.rows
        ]


def _state_name(status: str) -> str:
    return OUTCOMES[Status(status)].state_name if status in set(Status) else status.capitalize()


def results_text(tally: Tally, *, as_json: bool) -> str:
    """Return the results file: a JSON array of rows, or CSV with the reasons as one text."""
    if as_json:
        return json.dumps(tally.documents(), indent=2, ensure_ascii=False) + "\n"
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(_FIELDS)
    for row in tally.rows:
        cells = [row.line, row.reference, row.name, row.status, row.id or "", row.avatar_id or "", row.told]
        writer.writerow([_inert(str(cell)) for cell in cells])
    return buffer.getvalue()


def _inert(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: names and answers come from outside."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
