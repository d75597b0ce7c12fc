"""The error tree: one class for each thing that a caller does differently.

AvatarsError
├── RequestError                the caller's input; exit code 2
│   ├── InvalidRequest          fields break a rule (every problem is listed)
│   ├── ReferenceConflict       the reference is taken by another request
│   ├── InvalidManifest         a manifest cannot be read as a whole; nothing of it was sent
│   ├── UnknownProvisioning     no such id or reference
│   ├── NothingToCancel         it has ended otherwise
│   ├── StillInFlight           it cannot be forgotten yet
│   └── Forgotten               its person was forgotten: it cannot go on
├── OperatorError               mended outside the request, then resumed; exit code 3
│   ├── SettingsError           environment or .env
│   ├── DatabaseError           the ledger cannot be opened, read or written
│   ├── ArchiveFailed           the file of an archive cannot be written or read; the ledger keeps what it holds
│   ├── PrefectError            no Prefect API can be reached or started
│   ├── MediaUnreachable        a video host gave no answer, so nothing is known about the video
│   └── ArgilUnavailable        Argil surely took nothing
│       ├── ArgilUnreachable    could not connect
│       ├── ArgilUnauthorized   401, 403
│       ├── ArgilPaymentRequired 402
│       └── ArgilBusy           429, or 503 with Retry-After, past the budget
├── ArgilAnswer                 Argil answered this request for good
│   ├── RequestRefused          400, 404, 422 to a create
│   └── AvatarNotFound          404 to a get
├── OutcomeUnknown              a create was sent and nothing tells whether it was taken
├── PollFailed                  a read failed: a missed poll, never a failed training
├── MediaRejected               a recording breaks a rule before its facts could be probed
└── LedgerConflict              the ledger moved on under this driver
    ├── StaleVersion            compare-and-set lost: another driver wrote first
    ├── LeaseHeld               another living driver works on this provisioning
    └── ForbiddenTransition     no such edge in the table of transitions

TRAINING_FAILED and REFUSED are results, not errors.
"""

from __future__ import annotations

from typing import Any

from models.redaction import redact


def _rebuild(cls: type[AvatarsError], args: tuple[Any, ...], fields: dict[str, Any]) -> AvatarsError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(fields)
    return error


class AvatarsError(Exception):
    """Root of all errors of this project.

    `message` says what is wrong and `hint` the way out; both are redacted here. `code` is stable.
    """

    code = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = redact(message)
        self.hint = redact(hint)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive pickling: the default calls `cls(*args)`, which loses keyword-only fields."""
        return _rebuild, (type(self), self.args, self.__dict__)


class RequestError(AvatarsError):
    """The caller's input cannot be worked on."""

    code = "request"


class InvalidRequest(RequestError):
    """Fields break a rule; `problems` lists every one as (field, rule with the value seen)."""

    code = "request.invalid"

    def __init__(self, problems: list[tuple[str, str]], *, hint: str = "") -> None:
        super().__init__("; ".join(f"{field}: {rule}" for field, rule in problems), hint=hint)
        self.problems = problems


class InvalidManifest(RequestError):
    """A manifest cannot be read as a whole, so no row of it may be trusted; nothing was sent."""

    code = "request.manifest"


class ReferenceConflict(RequestError):
    """The reference belongs to a provisioning with another request; nothing was changed."""

    code = "request.reference-conflict"

    def __init__(self, reference: str, provisioning_id: str) -> None:
        shown = redact(reference)
        super().__init__(
            f"reference {shown!r} already belongs to provisioning {provisioning_id} with another request",
            hint="use a new reference, or send the same name, videos and extras as the first time",
        )
        self.reference = reference
        self.provisioning_id = provisioning_id


class UnknownProvisioning(RequestError):
    """No provisioning has this id or reference."""

    code = "request.unknown-provisioning"

    def __init__(self, key: str) -> None:
        super().__init__(f"no provisioning has the id or reference {redact(key)!r}", hint="see `avatars list`")
        self.key = key


class OperatorError(AvatarsError):
    """Something outside the request must be mended; the provisioning keeps its place and can be resumed."""

    code = "operator"


class SettingsError(OperatorError):
    """A setting is missing or breaks a rule."""

    code = "settings"


class DatabaseError(OperatorError):
    """The ledger's database cannot be opened, read or written."""

    code = "database"


class ArchiveFailed(OperatorError):
    """The file of an archive cannot be written or read; what is not whole in it stays in the ledger."""

    code = "archive"


class PrefectError(OperatorError):
    """No Prefect API can be reached or started."""

    code = "prefect"


class MediaUnreachable(OperatorError):
    """A video host gave no usable answer, so nothing is known about the video."""

    code = "media.unreachable"


class ArgilUnavailable(OperatorError):
    """Argil surely took nothing of this request. `retry_after_seconds` is Argil's own wish, if it gave one."""

    code = "argil.unavailable"

    def __init__(self, message: str, *, hint: str = "", retry_after_seconds: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_seconds = retry_after_seconds


class ArgilUnreachable(ArgilUnavailable):
    """No connection to Argil could be made."""

    code = "argil.unreachable"


class ArgilUnauthorized(ArgilUnavailable):
    """Argil refuses the API key (401, 403)."""

    code = "argil.unauthorized"


class ArgilPaymentRequired(ArgilUnavailable):
    """The Argil account cannot pay (402)."""

    code = "argil.payment-required"


class ArgilBusy(ArgilUnavailable):
    """Argil asked to come back later for longer than the budget allows (429, or 503 with Retry-After)."""

    code = "argil.busy"


class ArgilAnswer(AvatarsError):
    """Argil answered for good; `status` is the HTTP status, `answer` the redacted body."""

    code = "argil.answer"

    def __init__(self, message: str, *, status: int, answer: dict[str, Any], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.answer = answer


class RequestRefused(ArgilAnswer):
    """Argil said no to this create; sending it again would get the same answer."""

    code = "argil.refused-request"


class AvatarNotFound(ArgilAnswer):
    """Argil knows no avatar with this id, now."""

    code = "argil.not-found"


class OutcomeUnknown(AvatarsError):
    """A create was sent, and nothing tells whether Argil took it. It must be looked up, never sent again."""

    code = "argil.outcome-unknown"


class PollFailed(AvatarsError):
    """A read of Argil failed. `retry_after_seconds` is Argil's own wish, if it gave one."""

    code = "argil.poll-failed"

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class MediaRejected(AvatarsError):
    """A recording breaks a rule that is known before its facts are; `rule` is the violation's code."""

    code = "media.rejected"

    def __init__(self, rule: str, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.rule = rule


class NothingToCancel(RequestError):
    """It has ended otherwise."""

    code = "request.nothing-to-cancel"


class StillInFlight(RequestError):
    """A provisioning cannot be forgotten before it has ended."""

    code = "request.in-flight"


class Forgotten(RequestError):
    """The person of this provisioning was forgotten: there is nothing left to go on with."""

    code = "request.forgotten"

    def __init__(self, provisioning_id: str) -> None:
        super().__init__(
            f"provisioning {provisioning_id} was forgotten: its name, URLs and extras are gone",
            hint="provision again under a new reference",
        )
        self.provisioning_id = provisioning_id


class LedgerConflict(AvatarsError):
    """The ledger moved on under this driver."""

    code = "ledger.conflict"


class StaleVersion(LedgerConflict):
    """A compare-and-set lost: another driver wrote first, and nothing of this write was kept."""

    code = "ledger.stale-version"


class LeaseHeld(LedgerConflict):
    """Another living driver works on this provisioning."""

    code = "ledger.lease-held"


class ForbiddenTransition(LedgerConflict):
    """The table of transitions has no such edge."""

    code = "ledger.forbidden-transition"
