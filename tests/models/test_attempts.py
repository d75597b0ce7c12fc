"""Each submission is shown with who asked for it and why."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from models.attempts import list_attempts
from models.provisioning import ProvisioningEvent, Status, Submission, SubmissionState
from models.reopening import REPLACED, RETRAINED

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def submission(ordinal: int) -> Submission:
    return Submission(
        id=f"s-{ordinal}",
        ordinal=ordinal,
        state=SubmissionState.CREATED,
        request_fingerprint=None,
        avatar_id=f"a-{ordinal}",
        http_status=201,
        response=None,
        created_at=AT,
        state_changed_at=AT,
    )


def event(
    from_status: Status | None, to_status: Status, actor: str, message: str = "", submission_id: str | None = None
) -> ProvisioningEvent:
    return ProvisioningEvent(
        occurred_at=AT,
        actor=actor,
        from_status=from_status,
        to_status=to_status,
        message=message,
        raw_status=None,
        flow_run_id=None,
        submission_id=submission_id,
    )


FIRST = [
    event(None, Status.ACCEPTED, "provision-batch", "the request was recorded"),
    event(Status.ACCEPTED, Status.ACCEPTED, "provision-batch", "the account has no credit"),
    event(Status.ACCEPTED, Status.SUBMITTING, "provision-pending", "recorded", "s-1"),
    event(Status.SUBMITTING, Status.TRAINING, "provision-pending", "created", "s-1"),
    event(Status.TRAINING, Status.TRAINING_FAILED, "training-failed", "failed"),
]
SECOND = [
    event(Status.TRAINING_FAILED, Status.ACCEPTED, "resume-provisioning", "retrained: Grace: more light"),
    event(Status.ACCEPTED, Status.SUBMITTING, "resume-provisioning", "recorded", "s-2"),
]


def test_attempt_names_the_event_that_led_to_it() -> None:
    first, second = list_attempts([submission(1), submission(2)], FIRST + SECOND)
    assert (first.requested_by, first.cause) == ("provision-batch", "the request was recorded")
    assert (second.requested_by, second.cause) == ("resume-provisioning", "retrained: Grace: more light")


@pytest.mark.parametrize("change", [f"{RETRAINED} other recordings: Ada: longer", REPLACED])
def test_attempt_names_who_changed_the_request_that_waits(change: str) -> None:
    changed = [
        SECOND[0],
        event(Status.ACCEPTED, Status.ACCEPTED, "another", change),
        event(Status.ACCEPTED, Status.ACCEPTED, "another", "both recordings were checked"),
        SECOND[1],
    ]
    _, second = list_attempts([submission(1), submission(2)], FIRST + changed)
    assert (second.requested_by, second.cause) == ("another", change)


def test_attempt_whose_events_were_archived_has_no_cause() -> None:
    archived, second = list_attempts([submission(1), submission(2)], SECOND)
    assert (archived.requested_by, archived.cause) == ("", "")
    assert second.requested_by == "resume-provisioning"
