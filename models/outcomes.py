"""What each status means to the people and programs outside: exit code, Prefect state, event, next step."""

from __future__ import annotations

from dataclasses import dataclass

from models.provisioning import Status

EXIT_OK = 0
EXIT_BATCH_INCOMPLETE = 1
EXIT_USAGE = 2
EXIT_OPERATOR = 3


@dataclass(frozen=True)
class Outcome:
    """How one status shows outside of the ledger.

    `state_name` names the final state of the Prefect run, `event` the Prefect event that is emitted on arrival.
    """

    exit_code: int
    state_name: str
    event: str | None
    meaning: str
    next_step: str

    def next_step_of(self, provisioning_id: str) -> str:
        """Return what to do next, in words that can be copied."""
        return self.next_step.replace("ID", provisioning_id)


OUTCOMES: dict[Status, Outcome] = {
    Status.ACCEPTED: Outcome(
        EXIT_OK,
        "Accepted",
        None,
        "recorded; Argil holds no avatar of it, as far as is known",
        "mend what the reasons name, then `avatars resume ID`",
    ),
    Status.SUBMITTING: Outcome(
        EXIT_OK,
        "Submitting",
        None,
        "a create was recorded and may be under way",
        "`avatars resume ID` looks at Argil for it before anything is sent again",
    ),
    Status.TRAINING: Outcome(
        EXIT_OK, "Training", None, "Argil trains the avatar", "wait; `avatars resume ID` watches it again"
    ),
    Status.READY: Outcome(
        EXIT_OK, "Ready", "avatar.ready", "the avatar can be used", "use the avatar id in Argil's video API"
    ),
    Status.REJECTED: Outcome(
        EXIT_USAGE,
        "Rejected",
        "avatar.rejected",
        "the inputs break the rules listed; nothing was sent and nothing paid",
        "mend what the reasons name and provision again under a new reference",
    ),
    Status.SUBMISSION_FAILED: Outcome(
        4,
        "SubmissionFailed",
        "avatar.submission-failed",
        "Argil refused the create request itself; no avatar was made",
        "read Argil's answer in the reasons; a mended request needs a new reference",
    ),
    Status.TRAINING_FAILED: Outcome(
        10,
        "TrainingFailed",
        "avatar.training-failed",
        "Argil could not train the avatar; it gives no reason",
        "check light, sound and framing of the dataset video, record it again and provision under a new "
        "reference; or ask Argil's support with the avatar id",
    ),
    Status.REFUSED: Outcome(
        11,
        "Refused",
        "avatar.refused",
        "Argil's moderation refused the avatar; it gives no reason. Both videos are quarantined",
        "have a person check that the consent is by the person in the dataset video; "
        "`avatars release ID --why ...` lifts the quarantine",
    ),
    Status.TIMED_OUT: Outcome(
        12,
        "TimedOut",
        "avatar.timed-out",
        "the training did not end before its deadline; it may still end at Argil",
        "`avatars resume ID` looks again; raise AVATARS_TRAINING_TIMEOUT_SECONDS to wait longer",
    ),
    Status.CANCELLED: Outcome(
        13,
        "Cancelled",
        None,
        "a person stopped it; an avatar already created goes on training at Argil, which has no cancel",
        "`avatars resume ID` takes it up again",
    ),
    Status.VANISHED: Outcome(
        14,
        "Vanished",
        "avatar.vanished",
        "Argil no longer knows the avatar",
        "ask Argil's support with the avatar id, then provision under a new reference",
    ),
}
