"""The public meaning of each status: exit code, Prefect state, event, description and next step."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from models.errors import ArgilPaymentRequired, DayBudgetUsed, PaymentPaused, RatePaused, VideoCreatePaused
from models.exit_codes import EXIT_OK, EXIT_USAGE
from models.media.codes import MediaCode
from models.provisioning import NEEDS_ATTENTION, Provisioning, Status
from models.reason import Reason
from models.request import RequestKind


@dataclass(frozen=True)
class Outcome:
    """How one status is presented outside the ledger.

    `state_name` is the name of the final state of the Prefect run. `event` is the Prefect event that is emitted
    when the status is reached, or None. `next_step` contains the placeholder `{id}`. `deployment_step` is the
    same for a person who uses Prefect's UI instead of the command line, or empty.
    """

    exit_code: int
    state_name: str
    event: str | None
    description: str
    next_step: str
    deployment_step: str = ""
    next_step_with_voice: str = ""
    """Replaces `next_step` if the voice of the avatar is known, unless it is empty."""

    def next_step_for(self, provisioning_id: str, voice_id: str | None = None, *, is_released: bool = False) -> str:
        """Return the next step with the id filled in, so that its commands can be copied.

        Args:
            provisioning_id: The id of the provisioning.
            voice_id: The id of its voice, if that is known.
            is_released: Whether a person released its recordings from quarantine.
        """
        with_voice = self.next_step_with_voice if voice_id else ""
        step = RELEASED_NEXT_STEP if is_released else with_voice or self.next_step
        return step.format(id=provisioning_id)

    def deployment_step_for(self, provisioning_id: str) -> str:
        """Return the next step in Prefect's UI with the id filled in, or an empty text."""
        return self.deployment_step.format(id=provisioning_id)


REFUSAL = "Argil's moderation refused the avatar; it gives no reason"
RELEASED_NEXT_STEP = (
    "the recordings were released from quarantine; to submit them again, make a new request with another reference"
)
"""The next step of a refused provisioning after the release of its recordings."""


OUTCOMES: dict[Status, Outcome] = {
    Status.ACCEPTED: Outcome(
        EXIT_OK,
        "Accepted",
        None,
        "recorded; as far as is known, no avatar exists at Argil",
        "fix what the reasons name, if any, then run `avatars resume {id}`",
        "run the deployment resume-provisioning/on-demand with the id {id}; "
        "provision-pending/scheduled does it by itself if nothing blocks it",
    ),
    Status.SUBMITTING: Outcome(
        EXIT_OK,
        "Submitting",
        None,
        "a submission was recorded and may be in progress",
        "run `avatars resume {id}`; it looks the submission up at Argil before it sends anything again",
        "wait; reconcile-avatars/scheduled looks the submission up each minute",
    ),
    Status.TRAINING: Outcome(
        EXIT_OK,
        "Training",
        None,
        "Argil is training the avatar",
        "wait; `avatars resume {id}` polls it again",
        "wait; reconcile-avatars/scheduled records the outcome",
    ),
    Status.READY: Outcome(
        EXIT_OK,
        "Ready",
        "avatar.ready",
        "the avatar can be used",
        "use the avatar id and a voice id with Argil's video API; the voice is looked up for a day, and "
        "`avatars voice {id} VOICE_ID` records it",
        next_step_with_voice="use the avatar id and the voice id with Argil's video API",
    ),
    Status.REJECTED: Outcome(
        EXIT_USAGE,
        "Rejected",
        "avatar.rejected",
        "the request breaks the rules listed; this attempt was not sent and not paid",
        "correct what the reasons name and make the request again with the same reference; if its addresses stay, "
        "`avatars retry {id}` suffices; the rejected attempt cost nothing",
        "run the deployment resume-provisioning/on-demand with the id {id} and the action retry",
    ),
    Status.SUBMISSION_FAILED: Outcome(
        4,
        "SubmissionFailed",
        "avatar.submission-failed",
        "Argil rejected the create request; no avatar was created",
        "read Argil's response in the reasons, then `avatars retrain {id} --reason ...` submits it again, with "
        "other recordings if given",
        "run the deployment resume-provisioning/on-demand with the id {id}, the action retrain and a reason",
    ),
    Status.TRAINING_FAILED: Outcome(
        10,
        "TrainingFailed",
        "avatar.training-failed",
        "Argil could not train the avatar; it gives no reason",
        "check light, sound and framing of the recording; `avatars retrain {id} --reason ...` with "
        "another `--dataset-video URL`, or `--image URL` for an avatar from an image, submits it and may be "
        "charged; or contact Argil's support with the avatar id",
        "run the deployment resume-provisioning/on-demand with the id {id}, the action retrain, a "
        "reason and another dataset video or image",
    ),
    Status.REFUSED: Outcome(
        11,
        "Refused",
        "avatar.refused",
        f"{REFUSAL}. Its recordings are quarantined",
        "check that the person in the recordings gave the consent; "
        "`avatars release {id} --reason ...` lifts the quarantine, and a request with another reference can use "
        "them",
        "run the deployment release-recordings/on-demand with the id {id} and a reason",
    ),
    Status.TIMED_OUT: Outcome(
        12,
        "TimedOut",
        "avatar.timed-out",
        "the training did not finish before its deadline; it may still finish at Argil",
        "`avatars resume {id}` polls it again; raise AVATARS_TRAINING_TIMEOUT_SECONDS to wait longer",
        "run the deployment resume-provisioning/on-demand with the id {id}",
    ),
    Status.CANCELLED: Outcome(
        13,
        "Cancelled",
        None,
        "cancelled by a user; an avatar already created keeps training, because Argil's API cannot cancel "
        "a training",
        "`avatars resume {id}` continues it",
        "run the deployment resume-provisioning/on-demand with the id {id}",
    ),
    Status.VANISHED: Outcome(
        14,
        "Vanished",
        "avatar.vanished",
        "Argil no longer has the avatar",
        "`avatars resume {id}` polls it again; `avatars retrain {id} --reason ...` creates another avatar, which "
        "may be charged; or contact Argil's support with the avatar id",
        "run the deployment resume-provisioning/on-demand with the id {id}, and for another avatar "
        "with the action retrain and a reason",
    ),
}

_NEW_REQUEST = (
    "make a new request with its recordings and another reference, which may be charged; or contact Argil's "
    "support with the avatar id"
)
ADOPTED_OUTCOMES: Mapping[Status, Outcome] = MappingProxyType(
    {
        Status.READY: replace(
            OUTCOMES[Status.READY],
            next_step="use the avatar id and a voice id with Argil's video API; `avatars voice {id} VOICE_ID` "
            "records the voice",
        ),
        Status.TRAINING_FAILED: replace(
            OUTCOMES[Status.TRAINING_FAILED], next_step=_NEW_REQUEST, deployment_step=""
        ),
        Status.REFUSED: replace(
            OUTCOMES[Status.REFUSED],
            description="Argil's moderation refused the avatar; it gives no reason. It was made elsewhere, so its "
            "recordings are not known and not quarantined",
            next_step="check that the person consented before you make a request with its recordings; or contact "
            "Argil's support with the avatar id",
            deployment_step="",
        ),
        Status.VANISHED: replace(
            OUTCOMES[Status.VANISHED],
            next_step="`avatars resume {id}` polls it again; or contact Argil's support with the avatar id",
            deployment_step="run the deployment resume-provisioning/on-demand with the id {id}",
        ),
    }
)
"""The outcomes of adopted avatars that differ: `retrain`, `release` and a retry need recordings."""


def outcome_of(status: Status, kind: RequestKind) -> Outcome:
    """Return the meaning of a status for a provisioning of this kind."""
    adopted = ADOPTED_OUTCOMES.get(status) if kind is RequestKind.ADOPTED else None
    return adopted or OUTCOMES[status]


def describe(provisioning: Provisioning, *, is_released: bool = False) -> str:
    """Return what its status means for this provisioning: a cancellation says what remains at Argil.

    Args:
        provisioning: The provisioning.
        is_released: Whether a person released its recordings from quarantine.
    """
    if provisioning.erased_at is not None:
        return "its personal data was erased; do not use its avatar, and delete it at Argil"
    if is_released:
        return f"{REFUSAL}. A person released its recordings"
    if provisioning.status is Status.CANCELLED and provisioning.reasons:
        return provisioning.reasons[0].message
    if provisioning.status is Status.TRAINING and provisioning.not_found_since is not None:
        return (
            f"Argil has answered 404 for the avatar since {provisioning.not_found_since:%Y-%m-%d %H:%M} UTC; "
            "if that lasts for AVATARS_GONE_AFTER_SECONDS, it becomes VANISHED"
        )
    return outcome_of(provisioning.status, provisioning.kind).description


def next_step(provisioning: Provisioning, *, is_released: bool = False) -> str:
    """Return the next step for this provisioning, with its id filled in."""
    if provisioning.erased_at is not None:
        return "none: its personal data was erased"
    if step := step_by_reasons(provisioning.status, provisioning.id, provisioning.reasons):
        return step
    return outcome_of(provisioning.status, provisioning.kind).next_step_for(
        provisioning.id, provisioning.voice_id, is_released=is_released
    )


def deployment_step(provisioning: Provisioning) -> str:
    """Return the next step in Prefect's UI with the id filled in, or an empty text."""
    if provisioning.erased_at is not None:
        return ""
    return outcome_of(provisioning.status, provisioning.kind).deployment_step_for(provisioning.id)


def waits_for_person(provisioning: Provisioning, *, is_released: bool = False) -> bool:
    """Return whether a person has to act before it can go on. store/latest_page.py has the same rule as SQL.

    Args:
        provisioning: The provisioning.
        is_released: Whether a person released its recordings from quarantine.
    """
    if provisioning.status is Status.ACCEPTED:
        codes = {reason.code for reason in provisioning.reasons}
        return provisioning.lease_owner is None and bool(codes) and codes.isdisjoint(CODES_THAT_END_ALONE)
    return provisioning.status in NEEDS_ATTENTION and not is_released


def step_by_reasons(status: Status, provisioning_id: str, reasons: Collection[Reason]) -> str | None:
    """Return the next step if it depends on the reasons, with the id filled in; None if the status tells it."""
    if status is Status.REJECTED and reasons and all(reason.code.endswith(_QUARANTINED) for reason in reasons):
        step = _QUARANTINED_STEP
    elif status is not Status.ACCEPTED:
        return None
    elif not reasons:
        step = _QUEUED
    elif all(reason.code in CODES_THAT_END for reason in reasons):
        step = _WAITING
    else:
        step = _BLOCKED
    return step.format(id=provisioning_id)


_QUARANTINED = f".{MediaCode.QUARANTINED}"
_QUARANTINED_STEP = (
    "have a person review the refused provisioning that the reasons name; after `avatars release ID --reason ...` "
    "with its id, `avatars retry {id}` submits this one"
)
_QUEUED = (
    "wait: the schedule `provision-pending` submits it while `avatars up` or a worker runs; "
    "`avatars resume {id}` submits it now"
)
_BLOCKED = "fix what the reasons name, then run `avatars resume {id}`"
_WAITING = (
    "wait: the schedule `provision-pending` submits it once the reason no longer applies, while `avatars up` or a "
    "worker runs; without them, `avatars resume {id}` does. `avatars doctor` shows when the next one is tried"
)
CODES_THAT_END = sorted(
    error.code for error in (ArgilPaymentRequired, DayBudgetUsed, PaymentPaused, RatePaused, VideoCreatePaused)
)
"""Reasons that end without a change of the request, as their hints say."""
CODES_THAT_END_ALONE = sorted(error.code for error in (DayBudgetUsed, RatePaused))
"""Those of them that end without a person, too: an account without credit waits for somebody to top it up."""


def further_reasons(provisioning: Provisioning, description: str = "") -> list[Reason]:
    """Return the reasons that say more than the status, or than the description that is shown with it."""
    said = {description, outcome_of(provisioning.status, provisioning.kind).description, REFUSAL}
    return [reason for reason in provisioning.reasons if reason.message not in said]
