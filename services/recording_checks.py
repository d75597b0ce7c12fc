"""The result of checking one recording, and which results stop a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from models.errors import MediaNotInspected, MediaUnreachable, NetworkUnavailable
from models.media_codes import MediaCode
from models.media_rules import MediaRole
from models.reason import Reason

QUARANTINED_SUFFIX = f".{MediaCode.QUARANTINED}"


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
        code=f"{role}{QUARANTINED_SUFFIX}",
        message=f"the {role.label} belongs to provisioning {provisioning_id}, which Argil's moderation refused",
        hint=f"have a person review it; `avatars release {provisioning_id} --reason ...` releases its recordings",
    )


def blocking_reasons(checks: Sequence[RecordingCheckResult], level: str) -> list[Reason]:
    """Return the reasons that stop a request at a level of AVATARS_MEDIA_CHECK; a quarantine always does."""
    reasons = [reason for check in checks for reason in check.reasons]
    return reasons if level == "strict" else [r for r in reasons if r.code.endswith(QUARANTINED_SUFFIX)]


def inconclusive_error(checks: Sequence[RecordingCheckResult]) -> MediaUnreachable | NetworkUnavailable | None:
    """Return the operational error that prevented a check: that of this machine's network, if there is one."""
    reasons = [check.unreachable for check in checks if check.unreachable is not None]
    if not reasons:
        return None
    for reason in reasons:
        if reason.code == NetworkUnavailable.code:
            return NetworkUnavailable(reason.message, hint=reason.hint)
    is_inspection = all(reason.code == MediaNotInspected.code for reason in reasons)
    error = MediaNotInspected if is_inspection else MediaUnreachable
    return error("; ".join(reason.message for reason in reasons), hint=reasons[0].hint)
