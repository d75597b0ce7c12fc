"""The results of a media check: one row per rule, and the reasons and warnings of the rows that failed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from models.errors import MediaRejected
from models.media.codes import MediaCode
from models.media.facts import MediaFacts
from models.media.image_facts import ImageFacts
from models.media.rules import MediaRole
from models.reason import Reason

_ARTICLES = {"audio": "an", "image": "an", "video": "a"}


class RuleRow(NamedTuple):
    """A `RuleResult` without the role in its code."""

    code: MediaCode
    expected: str
    actual: str
    passed: bool
    hint: str
    enforced: bool = True


class RuleResult(BaseModel):
    """The result of one rule for one recording: a row of the printed table.

    `expected` continues the phrase "must be"; `actual` is the value of the recording. `code` is the code of the
    violation, also if the check passed. A rule that is not `enforced` only warns.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    expected: str
    actual: str
    passed: bool
    hint: str
    enforced: bool = True

    @classmethod
    def from_row(cls, row: RuleRow, role: MediaRole) -> RuleResult:
        """Return the result of a rule for the recording of a role."""
        return cls.model_validate(row._asdict() | {"code": f"{role}.{row.code}"})


class MediaReport(BaseModel):
    """The result of a media check: every rule that could be checked for the recording.

    `facts` is None if the recording was rejected before it was probed. `requests` and `bytes_fetched` are the cost
    of the check, or None if there are no facts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: MediaRole
    facts: MediaFacts | ImageFacts | None
    checks: tuple[RuleResult, ...]
    requests: int | None = None
    bytes_fetched: int | None = None

    @property
    def reasons(self) -> list[Reason]:
        """One reason for each enforced rule that is broken; empty if the recording is acceptable."""
        return failure_reasons(self.checks, self.role)

    @property
    def warnings(self) -> list[Reason]:
        """One reason for each broken rule that only warns."""
        return failure_reasons(self.checks, self.role, enforced=False)


def rejected_result(error: MediaRejected, role: MediaRole) -> RuleResult:
    """Return the failed check for a recording that could not be probed."""
    return RuleResult(
        code=f"{role}.{error.rule_code}",
        expected=f"{_ARTICLES[role.medium]} {role.medium} file that anyone with its URL can download and parse",
        actual=error.message,
        passed=False,
        hint=error.hint,
    )


def failure_reasons(rows: Iterable[RuleResult], role: MediaRole, *, enforced: bool = True) -> list[Reason]:
    """Return a reason for each failed check of the enforced rules, or of the rules that only warn."""
    return [
        Reason(
            code=row.code, message=f"the {role.label} must be {row.expected}; actual: {row.actual}", hint=row.hint
        )
        for row in rows
        if not row.passed and row.enforced is enforced
    ]
