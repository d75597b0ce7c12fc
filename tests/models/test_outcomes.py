"""What each status means outside of the ledger."""

from __future__ import annotations

import pytest

from models.outcomes import EXIT_BATCH_INCOMPLETE, EXIT_OK, EXIT_OPERATOR, EXIT_USAGE, OUTCOMES
from models.provisioning import Status

# Section 5 of the design; what is under way is no failure.
EXIT_CODES = {
    Status.READY: 0,
    Status.ACCEPTED: 0,
    Status.SUBMITTING: 0,
    Status.TRAINING: 0,
    Status.REJECTED: 2,
    Status.SUBMISSION_FAILED: 4,
    Status.TRAINING_FAILED: 10,
    Status.REFUSED: 11,
    Status.TIMED_OUT: 12,
    Status.CANCELLED: 13,
    Status.VANISHED: 14,
}
# Section 4 of the design.
STATE_NAMES = {
    Status.READY: "Ready",
    Status.TRAINING: "Training",
    Status.TRAINING_FAILED: "TrainingFailed",
    Status.REFUSED: "Refused",
    Status.TIMED_OUT: "TimedOut",
    Status.REJECTED: "Rejected",
    Status.SUBMISSION_FAILED: "SubmissionFailed",
    Status.CANCELLED: "Cancelled",
}
EVENTS = {
    Status.READY: "avatar.ready",
    Status.TRAINING_FAILED: "avatar.training-failed",
    Status.REFUSED: "avatar.refused",
    Status.REJECTED: "avatar.rejected",
    Status.TIMED_OUT: "avatar.timed-out",
}


def test_every_status_has_an_outcome() -> None:
    assert set(OUTCOMES) == set(Status)


@pytest.mark.parametrize("status", Status)
def test_the_exit_code_is_the_designs(status: Status) -> None:
    assert OUTCOMES[status].exit_code == EXIT_CODES[status]


def test_the_other_exit_codes_are_the_designs() -> None:
    assert (EXIT_OK, EXIT_BATCH_INCOMPLETE, EXIT_USAGE, EXIT_OPERATOR) == (0, 1, 2, 3)


def test_each_end_that_is_no_success_has_an_exit_code_of_its_own() -> None:
    codes = [OUTCOMES[status].exit_code for status in Status if status.is_end and status is not Status.READY]
    assert len(set(codes)) == len(codes)
    assert EXIT_OPERATOR not in codes


@pytest.mark.parametrize(("status", "name"), STATE_NAMES.items())
def test_the_prefect_state_is_named_as_designed(status: Status, name: str) -> None:
    assert OUTCOMES[status].state_name == name


def test_no_two_statuses_share_a_state_name_or_an_event() -> None:
    names = [outcome.state_name for outcome in OUTCOMES.values()]
    events = [outcome.event for outcome in OUTCOMES.values() if outcome.event is not None]
    assert len(set(names)) == len(names)
    assert len(set(events)) == len(events)


@pytest.mark.parametrize(("status", "event"), EVENTS.items())
def test_the_event_for_automations_is_named_as_designed(status: Status, event: str) -> None:
    assert OUTCOMES[status].event == event


@pytest.mark.parametrize("status", Status)
def test_every_status_is_explained_with_a_next_step(status: Status) -> None:
    outcome = OUTCOMES[status]
    assert outcome.meaning
    assert outcome.next_step
    assert not outcome.meaning.endswith(".")
