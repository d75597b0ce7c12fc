"""The public meaning of each status."""

from __future__ import annotations

import pytest

from models.adopted_request import AdoptedRequest
from models.exit_codes import EXIT_BATCH_INCOMPLETE, EXIT_OK, EXIT_OPERATIONAL_ERROR, EXIT_USAGE
from models.outcomes import ADOPTED_OUTCOMES, OUTCOMES, deployment_step, describe, next_step
from models.provisioning import Status
from models.reason import Reason
from models.reports.fleet_report import render_fleet_report
from models.reports.markdown_reports import render_provisioning_report
from tests.models.reports.test_markdown_reports import AT, provisioning

# From section 5 of the design; a provisioning in flight is not a failure.
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
# From section 4 of the design.
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
def test_exit_code_of_each_status_matches_the_design(status: Status) -> None:
    assert OUTCOMES[status].exit_code == EXIT_CODES[status]


def test_other_exit_codes_match_the_design() -> None:
    assert (EXIT_OK, EXIT_BATCH_INCOMPLETE, EXIT_USAGE, EXIT_OPERATIONAL_ERROR) == (0, 1, 2, 3)


def test_each_terminal_failure_has_a_unique_exit_code() -> None:
    codes = [OUTCOMES[status].exit_code for status in Status if status.is_terminal and status is not Status.READY]
    assert len(set(codes)) == len(codes)
    assert EXIT_OPERATIONAL_ERROR not in codes


@pytest.mark.parametrize(("status", "name"), STATE_NAMES.items())
def test_prefect_state_names_match_the_design(status: Status, name: str) -> None:
    assert OUTCOMES[status].state_name == name


def test_state_names_and_events_are_unique() -> None:
    names = [outcome.state_name for outcome in OUTCOMES.values()]
    events = [outcome.event for outcome in OUTCOMES.values() if outcome.event is not None]
    assert len(set(names)) == len(names)
    assert len(set(events)) == len(events)


@pytest.mark.parametrize(("status", "event"), EVENTS.items())
def test_events_match_the_design(status: Status, event: str) -> None:
    assert OUTCOMES[status].event == event


@pytest.mark.parametrize("status", Status)
def test_every_status_has_description_and_next_step(status: Status) -> None:
    outcome = OUTCOMES[status]
    assert outcome.description
    assert outcome.next_step
    assert not outcome.description.endswith(".")


# Adopted avatars have no recordings: `retrain`, `retry` and `release` refuse them or do nothing.

IMPOSSIBLE = ("retrain", "retry", "release", "--dataset-video", "quarantined", "looked up")


@pytest.mark.parametrize("status", sorted({*ADOPTED_OUTCOMES, Status.TRAINING, Status.TIMED_OUT, Status.CANCELLED}))
def test_no_text_about_an_adopted_avatar_names_an_impossible_step(status: Status) -> None:
    request = AdoptedRequest(name="Mary", reference="mary-1")
    adopted = provisioning(status, request=request, avatar_id="a-1")
    reason = Reason(code="any", message=describe(adopted), hint=next_step(adopted))
    adopted = provisioning(status, request=request, avatar_id="a-1", reasons=[reason])
    texts = [
        describe(adopted).replace("not quarantined", ""),
        next_step(adopted),
        deployment_step(adopted),
        render_provisioning_report(adopted, []).replace("not quarantined", ""),
        render_fleet_report({}, {status: [adopted]}, AT),
    ]
    found = [(word, text) for text in texts for word in IMPOSSIBLE if word in text]
    assert found == []


def test_released_refusal_is_no_longer_said_to_be_quarantined() -> None:
    refused = provisioning(Status.REFUSED)
    assert "are quarantined" in describe(refused)
    assert describe(refused, is_released=True).endswith("A person released its recordings")


def test_training_with_an_absent_avatar_does_not_say_that_argil_trains_it() -> None:
    text = describe(provisioning(Status.TRAINING, not_found_since=AT))
    assert "404 for the avatar since 2026-11-23 09:00 UTC" in text
    assert "AVATARS_GONE_AFTER_SECONDS" in text
    assert OUTCOMES[Status.TRAINING].description not in text


def test_adopted_outcomes_differ_in_their_texts_only() -> None:
    for status, outcome in ADOPTED_OUTCOMES.items():
        usual = OUTCOMES[status]
        assert (outcome.exit_code, outcome.state_name, outcome.event) == (
            usual.exit_code,
            usual.state_name,
            usual.event,
        )
        assert outcome.next_step != usual.next_step


def test_rejection_for_quarantine_says_to_review_the_refused_one() -> None:
    quarantined = Reason(
        code="dataset.quarantined", message="the dataset video belongs to provisioning p-1", hint=""
    )
    short = Reason(code="dataset.duration", message="shorter than 60 s", hint="")
    [review, both, corrected] = [
        next_step(provisioning(Status.REJECTED, reasons=reasons))
        for reasons in ([quarantined], [quarantined, short], [short])
    ]
    assert "avatars release" in review
    assert "avatars retry" in review
    assert both == corrected
    assert "correct what the reasons name" in corrected
