"""The error tree: one class for each case that a caller handles differently.

AvatarsError
├── RequestError                    the caller's input is invalid; exit code 2
│   ├── InvalidRequest              fields break rules; every problem is listed
│   ├── InvalidArguments            the command line has an unknown or invalid option
│   ├── InvalidManifest             the manifest cannot be parsed; nothing was sent
│   │   └── SharedRecordings        rows share a recording or are on record, which was not allowed
│   ├── RequestOnRecord             the same request has another reference; nothing was sent
│   ├── ReferenceConflict           the reference belongs to a different request
│   │   ├── ReferenceIsId           the reference is the id of another provisioning
│   │   └── ReferenceIsAdopted      the reference belongs to an adopted avatar, which has no recordings
│   ├── AvatarIsOurs                an avatar to adopt was created by a ledger of this service
│   ├── AvatarOnRecord              an avatar to adopt belongs to another provisioning
│   ├── AvatarNotListed             the account list does not contain an avatar to adopt
│   ├── UnknownProvisioning         no provisioning has this id or reference
│   ├── UnknownBatch                no batch has this id
│   ├── NotCancellable              the provisioning has reached another terminal state
│   ├── NotInQuarantine             the provisioning put no recording in quarantine
│   ├── NotReopenable               the command does not re-open a provisioning in this status
│   ├── SubmissionLimitReached      a retrain would exceed AVATARS_SUBMISSION_LIMIT
│   ├── UnconfirmedBatch            a batch would create more than AVATARS_CONFIRM_CREATES avatars
│   ├── NotReady                    only a READY avatar has a voice
│   ├── VoiceRefused                the voice cannot be that of this avatar
│   │   └── VoiceTaken              another provisioning has this voice
│   ├── NotTerminal                 the provisioning cannot be erased before it is terminal
│   └── ProvisioningErased          the personal data was erased; it cannot be resumed
├── OperationalError                fixed outside the request, then resumed; exit code 3
│   ├── SettingsError               an environment variable or .env entry is invalid
│   ├── DatabaseError               the ledger cannot be opened, read or written
│   ├── ArchiveError                an archive file cannot be written or read
│   ├── PrefectError                no Prefect API can be reached or started
│   ├── NetworkUnavailable          this machine resolves no host names; no video can be checked
│   ├── MediaUnreachable            the media host did not answer; the video was not checked
│   │   ├── MediaNotInspected       the processes of FFmpeg failed; the video was not checked
│   │   ├── StoreUnavailable        an object store refuses access, or a URL cannot be signed
│   │   └── RecordingsChange        a recording changed after each check
│   ├── SubmissionUnresolved        no lookup tells whether Argil created the avatar of a submission
│   ├── UnintelligibleResponse      a submission got a response that is not Argil's, and no avatar was found
│   ├── AvatarTaken                 an avatar that Argil reports is on record for another provisioning
│   ├── SubmissionBudgetUsed        a submission would exceed AVATARS_SUBMISSION_LIMIT
│   ├── DayBudgetUsed               a submission would exceed AVATARS_MAX_CREATES_PER_DAY
│   ├── BatchBudgetUsed             a submission would exceed AVATARS_MAX_CREATES_PER_BATCH
│   ├── SubmissionPaused            an earlier response of Argil's pauses submissions for all processes
│   │   ├── RatePaused              429; until Retry-After
│   │   ├── PaymentPaused           402; until a probe succeeds
│   │   └── VideoCreatePaused       Argil creates no avatars from videos; until a probe succeeds
│   ├── UnknownAvatars              Argil has avatars whose submissions the ledger does not know
│   ├── AvatarsMissing              Argil answers 404 for avatars, which does not prove that they are gone
│   └── ArgilUnavailable            Argil did not accept the request; nothing was created
│       ├── ArgilUnreachable        the connection failed
│       ├── ArgilVideoCreateRemoved  Argil's JSON says that it creates no avatars from videos
│       ├── ArgilPathNotFound       404, 405 or 410: ARGIL_API_URL is not the address of the API
│       ├── ArgilUnauthorized       401 or 403
│       ├── ArgilPaymentRequired    402
│       └── ArgilRateLimited        429, or 503 with Retry-After, beyond the retry budget
├── ArgilRejected                   a final error response from Argil
│   ├── SubmissionRejected          400, 413 or 422 to a submission, with Argil's JSON error
│   └── AvatarNotFound              404 to a GET by id, with Argil's JSON error
├── SubmissionOutcomeUnknown        a submission was sent; its outcome is unknown
├── PollFailed                      a read failed; this is not a failed training
├── MediaRejected                   a recording breaks a rule before it is probed
├── RecordingChanged                an object in a store changed after it was checked
└── ConcurrencyError                another lease owner changed the provisioning
    ├── StaleVersion                compare-and-set failed: another owner wrote first
    ├── LeaseUnavailable            another owner holds the lease
    ├── LeaseLost                   the caller lost its own lease
    ├── TickRunning                 another run of the same schedule is at work
    ├── BatchCancelled              a person cancelled the batch; no further row of it begins
    └── InvalidTransition           the transition is not allowed by TRANSITIONS

TRAINING_FAILED and REFUSED are results, not errors.
"""

from __future__ import annotations

from typing import Any

from models.media.codes import MediaCode
from models.text.escaping import shorten
from models.text.redaction import redact

MAX_MESSAGE_CHARACTERS = 4000
"""Of the message of an error: a request or a manifest can have any number of problems."""


def _unpickle_error(cls: type[AvatarsError], args: tuple[Any, ...], fields: dict[str, Any]) -> AvatarsError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(fields)
    return error


class AvatarsError(Exception):
    """Root of all errors of this project.

    `message` states the problem and `hint` says what to do about it, both redacted and shortened. `code` is stable.
    """

    code = "internal.error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = shorten(redact(message), MAX_MESSAGE_CHARACTERS)
        self.hint = shorten(redact(hint), MAX_MESSAGE_CHARACTERS)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Support pickling with all fields: the default calls `cls(*args)`, which loses keyword-only fields."""
        return _unpickle_error, (type(self), self.args, self.__dict__)


class RequestError(AvatarsError):
    """The caller's input is invalid."""

    code = "request.error"


class InvalidRequest(RequestError):
    """Fields break rules; `problems` lists all of them as (field, rule with the actual value)."""

    code = "request.invalid"

    def __init__(self, problems: list[tuple[str, str]], *, hint: str = "") -> None:
        super().__init__("; ".join(f"{field}: {rule}" for field, rule in problems), hint=hint)
        self.problems = problems


class InvalidArguments(RequestError):
    """The command line has an unknown option, or an option without a value or with an invalid one."""

    code = "request.invalid-arguments"


class InvalidManifest(RequestError):
    """The manifest cannot be parsed, so none of its rows can be trusted; nothing was sent."""

    code = "request.invalid-manifest"


class SharedRecordings(InvalidManifest):
    """Rows of a batch share a recording, or repeat a request on record, without permission; nothing was sent."""

    code = "request.shared-recordings"


class RequestOnRecord(RequestError):
    """The same request is on record with another reference, and no person asked for another avatar."""

    code = "request.on-record"


class ReferenceConflict(RequestError):
    """The reference belongs to a provisioning with a different request; nothing was changed."""

    code = "request.reference-conflict"
    problem = "already belongs to provisioning {id}{status} with a different request"
    remedy = (
        "it was submitted, cancelled or erased, or its request was replaced: send the same name, recordings and "
        "extras as `avatars show {id}` names, or use a reference of its own for another avatar"
    )

    def __init__(self, reference: str, provisioning_id: str, status: str = "") -> None:
        shown = f" ({status})" if status else ""
        super().__init__(
            f"reference {redact(reference)!r} {self.problem.format(id=provisioning_id, status=shown)}",
            hint=self.remedy.format(id=provisioning_id),
        )
        self.reference = reference
        self.provisioning_id = provisioning_id


class ReferenceIsId(ReferenceConflict):
    """The reference is the id of another provisioning, so that no command could tell the two apart."""

    code = "request.reference-is-id"
    problem = "is the id of provisioning {id}"
    remedy = "use a reference of your own; `avatars resume {id}` continues that provisioning"


class ReferenceIsAdopted(ReferenceConflict):
    """The reference belongs to an avatar that was adopted: it has no recordings to compare a request with."""

    code = "request.reference-is-adopted"
    problem = "belongs to provisioning {id}, whose avatar was adopted: it was made elsewhere and has no recordings"
    remedy = (
        "use the avatar that `avatars show {id}` names and leave this request out, or give the request a reference "
        "of its own for another avatar"
    )


class AvatarIsOurs(RequestError):
    """An avatar to adopt carries a submission id in our form: this ledger or another one of the service made it."""

    code = "request.avatar-is-ours"


class AvatarOnRecord(RequestError):
    """An avatar to adopt is on record for a provisioning with another reference."""

    code = "request.avatar-on-record"


class AvatarNotListed(RequestError):
    """The account list does not contain an avatar to adopt, or not with a usable id and a status."""

    code = "request.avatar-not-listed"


class UnknownProvisioning(RequestError):
    """No provisioning has this id or reference."""

    code = "request.unknown-provisioning"

    def __init__(self, key: str) -> None:
        super().__init__(f"no provisioning has the id or reference {redact(key)!r}", hint="see `avatars list`")
        self.key = key


class UnknownBatch(RequestError):
    """No batch has this id."""

    code = "request.unknown-batch"

    def __init__(self, key: str) -> None:
        super().__init__(f"no batch has the id {redact(key)!r}", hint="see `avatars batches`")
        self.key = key


class OperationalError(AvatarsError):
    """Something outside the request must be fixed; the provisioning keeps its status and can be resumed."""

    code = "operational.error"


class SettingsError(OperationalError):
    """A setting is missing or invalid."""

    code = "settings.invalid"


class DatabaseError(OperationalError):
    """The ledger's database cannot be opened, read or written."""

    code = "database.failed"


class ArchiveError(OperationalError):
    """An archive file cannot be written or read; events that are not completely archived stay in the ledger."""

    code = "archive.failed"


class PrefectError(OperationalError):
    """No Prefect API can be reached or started."""

    code = "prefect.unavailable"


class NetworkUnavailable(OperationalError):
    """No host name can be resolved, or the network answers all of them itself, so no recording can be checked."""

    code = "network.unavailable"


class MediaUnreachable(OperationalError):
    """A media host gave no usable response, so the recording was not checked."""

    code = "media.unreachable"


class MediaNotInspected(MediaUnreachable):
    """The processes that read a recording ended or exceeded a limit, so it was not checked."""

    code = "media.not-inspected"


class StoreUnavailable(MediaUnreachable):
    """An object store gives no access to a recording, or no URL of it can be signed. Nothing was submitted."""

    code = "media.store"


class RecordingsChange(MediaUnreachable):
    """A recording changed after each check, so that it was never submitted."""

    code = "media.changes"


class SubmissionUnresolved(OperationalError):
    """No lookup tells whether Argil created the avatar of a submission. It is not submitted again."""

    code = "argil.submission-unresolved"


class UnintelligibleResponse(OperationalError):
    """A submission got a response that is not Argil's, and no avatar was found after the grace period."""

    code = "argil.unintelligible-response"


class AvatarTaken(OperationalError):
    """An avatar that Argil reports for a provisioning is on record for another one; nothing was written."""

    code = "argil.avatar-taken"


class SubmissionBudgetUsed(OperationalError):
    """The provisioning has AVATARS_SUBMISSION_LIMIT submissions that may have been charged. It stays ACCEPTED."""

    code = "budget.submissions"


class DayBudgetUsed(OperationalError):
    """The submissions of this UTC day reached AVATARS_MAX_CREATES_PER_DAY. The provisioning stays ACCEPTED."""

    code = "budget.day"


class BatchBudgetUsed(OperationalError):
    """The submissions of its batch reached AVATARS_MAX_CREATES_PER_BATCH. The provisioning stays ACCEPTED."""

    code = "budget.batch"


class SubmissionPaused(OperationalError):
    """An earlier response of Argil's pauses submissions with this API key. The provisioning stays ACCEPTED.

    `retry_after_seconds` is how long the pause lasts at least.
    """

    code = "pause"

    def __init__(self, message: str, *, hint: str = "", retry_after_seconds: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_seconds = retry_after_seconds


class RatePaused(SubmissionPaused):
    """Argil answered 429 with Retry-After, which has not passed."""

    code = "pause.rate"


class PaymentPaused(SubmissionPaused):
    """Argil answered 402, and no probe has succeeded since."""

    code = "pause.payment"


class VideoCreatePaused(SubmissionPaused):
    """Argil no longer creates avatars from videos, and no probe has succeeded since."""

    code = "pause.video-create"


class UnknownAvatars(OperationalError):
    """Argil has avatars with submission ids that the ledger does not know. No provisioning is submitted."""

    code = "account.unknown-avatars"


class AvatarsMissing(OperationalError):
    """Argil answers 404 for avatars in training, which does not prove that they are gone. They stay in TRAINING."""

    code = "argil.avatars-missing"


class ArgilUnavailable(OperationalError):
    """Argil did not process this request: nothing was created.

    `retry_after_seconds` is the value of the Retry-After header, or None if absent.
    """

    code = "argil.unavailable"

    def __init__(self, message: str, *, hint: str = "", retry_after_seconds: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_seconds = retry_after_seconds


class ArgilUnreachable(ArgilUnavailable):
    """The connection to Argil failed."""

    code = "argil.unreachable"


class ArgilPathNotFound(ArgilUnavailable):
    """ARGIL_API_URL is not the address of Argil's API (404, 405, 410)."""

    code = "argil.path-not-found"


class ArgilUnauthorized(ArgilUnavailable):
    """Argil rejects the API key (401, 403)."""

    code = "argil.unauthorized"


class ArgilVideoCreateRemoved(ArgilUnavailable):
    """Argil no longer creates avatars from videos (400, 404, 410 or 422 that says so); image requests go on."""

    code = "argil.video-create-removed"


class ArgilPaymentRequired(ArgilUnavailable):
    """The Argil account has no credit or no valid payment method (402)."""

    code = "argil.payment-required"


class ArgilRateLimited(ArgilUnavailable):
    """Argil limits the request rate for longer than the retry budget (429, or 503 with Retry-After)."""

    code = "argil.rate-limited"


class ArgilRejected(AvatarsError):
    """Argil rejected the request permanently; `status` is the HTTP status, `body` the redacted body."""

    code = "argil.rejected"

    def __init__(self, message: str, *, status: int, body: dict[str, Any], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.body = body


class SubmissionRejected(ArgilRejected):
    """Argil rejected the submission; a retry would be rejected too."""

    code = "argil.submission-rejected"


class AvatarNotFound(ArgilRejected):
    """Argil currently has no avatar with this id."""

    code = "argil.not-found"


class SubmissionOutcomeUnknown(AvatarsError):
    """The submission was sent and its outcome is unknown. It must be looked up, never sent again.

    `response` is what is recorded of the response: its meaning (models/argil/response_meaning.py), status, code and
    message. It is None if there was no response.
    """

    code = "argil.outcome-unknown"

    def __init__(self, message: str, *, hint: str = "", response: dict[str, Any] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.response = response


class PollFailed(AvatarsError):
    """A read from Argil failed.

    `retry_after_seconds` is the value of the Retry-After header, or None if absent. `status` is the status code, or
    None without a response.
    """

    code = "argil.poll-failed"

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class MediaRejected(AvatarsError):
    """A recording breaks a rule before it is probed; `rule_code` is the code of the violation."""

    code = "media.rejected"

    def __init__(self, rule: MediaCode, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.rule_code = rule


class RecordingChanged(AvatarsError):
    """An object in a store changed after it was checked. It is checked again before it is submitted."""

    code = "media.changed"


class NotCancellable(RequestError):
    """The provisioning has reached a terminal status other than CANCELLED."""

    code = "request.not-cancellable"


class NotInQuarantine(RequestError):
    """The provisioning put no recording in quarantine, so there is nothing to release."""

    code = "request.not-in-quarantine"


class NotReopenable(RequestError):
    """The command does not re-open a provisioning in this status."""

    code = "request.not-reopenable"


class SubmissionLimitReached(RequestError):
    """A retrain would exceed AVATARS_SUBMISSION_LIMIT; nothing was changed."""

    code = "request.submission-limit"


class UnconfirmedBatch(RequestError):
    """A batch would create more than AVATARS_CONFIRM_CREATES avatars, and no person confirmed it."""

    code = "request.unconfirmed-batch"


class NotReady(RequestError):
    """The avatar is not READY, so it has no voice."""

    code = "request.not-ready"


class VoiceRefused(RequestError):
    """The voice cannot be recorded as that of this avatar; nothing was changed."""

    code = "request.voice"


class VoiceTaken(VoiceRefused):
    """Another provisioning has this voice; `provisioning_id` is its id, None if it was recorded just now."""

    code = "request.voice-taken"

    def __init__(self, voice_id: str, provisioning_id: str | None = None) -> None:
        owner = f"provisioning {provisioning_id}" if provisioning_id else "another provisioning"
        super().__init__(
            f"voice {voice_id} belongs to {owner}: a voice belongs to one avatar",
            hint=f"if it is wrong there, `avatars voice {provisioning_id or 'ID'} --remove` removes it",
        )
        self.voice_id = voice_id
        self.provisioning_id = provisioning_id


class NotTerminal(RequestError):
    """The provisioning is in flight; only a terminal one can be erased."""

    code = "request.in-flight"


class ProvisioningErased(RequestError):
    """The personal data of this provisioning was erased; it can be neither resumed nor requested again."""

    code = "request.erased"

    def __init__(self, provisioning_id: str) -> None:
        super().__init__(
            f"provisioning {provisioning_id} was erased: its name, URLs and extras are deleted",
            hint="leave the request out; if the person agreed again, give it a reference of its own",
        )
        self.provisioning_id = provisioning_id


class ConcurrencyError(AvatarsError):
    """Another lease owner changed the provisioning concurrently."""

    code = "ledger.conflict"


class StaleVersion(ConcurrencyError):
    """Compare-and-set failed: another owner wrote first, and nothing of this write was stored."""

    code = "ledger.stale-version"


class LeaseUnavailable(ConcurrencyError):
    """Another owner holds the lease of this provisioning."""

    code = "ledger.lease-unavailable"


class LeaseLost(ConcurrencyError):
    """The caller lost its lease: another owner acquired it, or the provisioning was cancelled."""

    code = "ledger.lease-lost"


class TickRunning(ConcurrencyError):
    """Another run of the same schedule works on this ledger; this one has nothing to do."""

    code = "ledger.tick-running"


class BatchCancelled(ConcurrencyError):
    """A person cancelled the batch: no further row of it is recorded, re-opened or submitted."""

    code = "ledger.batch-cancelled"

    def __init__(self, batch_id: str) -> None:
        super().__init__(
            f"batch {batch_id} was cancelled, and nothing more of it is submitted",
            hint="run the manifest again, which is another batch",
        )
        self.batch_id = batch_id


class InvalidTransition(ConcurrencyError):
    """The transition is not allowed by TRANSITIONS."""

    code = "ledger.invalid-transition"
