"""The result of checking one recording, and which results stop a request."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from models.errors import MediaNotInspected, MediaUnreachable, NetworkUnavailable, StoreUnavailable
from models.media.codes import MediaCode
from models.media.report import MediaReport
from models.media.rules import MediaRole
from models.reason import Reason
from models.recordings.addresses import SourcePrefix, source_problem
from models.request import AvatarRequest

local_reports: ContextVar[Mapping[tuple[str, MediaRole], MediaReport]] = ContextVar(
    "local_reports", default=MappingProxyType({})
)
"""The checks of local recordings in a dry run, by the address that they would be uploaded to."""
ALWAYS_BLOCKING = (f".{MediaCode.QUARANTINED}", f".{MediaCode.SOURCE_NOT_ALLOWED}")
"""The ends of the codes that stop a request at every level of AVATARS_MEDIA_CHECK."""


class RecordingCheckResult(BaseModel):
    """The violations and facts of one recording.

    Attributes:
        role: Which recording of the request was checked.
        reasons: Violated rules; `blocking_reasons` decides which of them stop the request.
        warnings: Violated rules that are never enforced.
        facts: The media facts as JSON, or None if they could not be read.
        unreachable: Why the recording could not be checked; no rule counts as violated, and a later check can
            succeed.

    """

    role: MediaRole
    reasons: list[Reason] = []
    warnings: list[Reason] = []
    facts: dict[str, Any] | None = None
    unreachable: Reason | None = None


def quarantine_reason(role: MediaRole, provisioning_id: str) -> Reason:
    """Return why a recording is in quarantine: it belongs to this provisioning."""
    return Reason(
        code=f"{role}.{MediaCode.QUARANTINED}",
        message=f"the {role.label} belongs to provisioning {provisioning_id}, which Argil's moderation refused",
        hint=f"have a person review it; `avatars release {provisioning_id} --reason ...` releases its recordings",
    )


def source_reason(role: MediaRole, address: str, problem: str) -> Reason:
    """Return why AVATARS_SOURCES does not allow the address of a recording."""
    return Reason(
        code=f"{role}.{MediaCode.SOURCE_NOT_ALLOWED}",
        message=f"the {role} recording {problem}; it is {address}",
        hint="check the address for typos, or add its bucket or folder to AVATARS_SOURCES where the runs execute",
    )


def source_reasons(request: AvatarRequest, sources: Collection[SourcePrefix]) -> list[Reason]:
    """Return why AVATARS_SOURCES does not allow the recordings of a request."""
    return [
        source_reason(role, address, problem)
        for role, address in request.recordings.items()
        if (problem := source_problem(address, sources))
    ]


def blocking_reasons(checks: Sequence[RecordingCheckResult], level: str) -> list[Reason]:
    """Return the reasons that stop a request at a level of AVATARS_MEDIA_CHECK; see ALWAYS_BLOCKING."""
    reasons = [reason for check in checks for reason in check.reasons]
    return reasons if level == "strict" else [r for r in reasons if r.code.endswith(ALWAYS_BLOCKING)]


def inconclusive_error(checks: Sequence[RecordingCheckResult]) -> MediaUnreachable | NetworkUnavailable | None:
    """Return the operational error that prevented a check: that of this machine's network, if there is one."""
    reasons = [check.unreachable for check in checks if check.unreachable is not None]
    if not reasons:
        return None
    for reason in reasons:
        if reason.code == NetworkUnavailable.code:
            return NetworkUnavailable(reason.message, hint=reason.hint)
    if any(reason.code == StoreUnavailable.code for reason in reasons):
        error: type[MediaUnreachable] = StoreUnavailable
    else:
        is_inspection = all(reason.code == MediaNotInspected.code for reason in reasons)
        error = MediaNotInspected if is_inspection else MediaUnreachable
    return error("; ".join(reason.message for reason in reasons), hint=reasons[0].hint)
