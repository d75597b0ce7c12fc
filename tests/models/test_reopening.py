"""What a request does to the provisioning of its reference."""

from __future__ import annotations

from itertools import product

import pytest

from models.provisioning import FINAL_STATUSES, TRANSITIONS, Status, SubmissionState
from models.reopening import (
    RESUMABLE_STATUSES,
    RETRAINABLE_STATUSES,
    RETRYABLE_STATUSES,
    RequestAction,
    decide_request,
    retrainable_statuses,
)

NOT_CREATED = SubmissionState.NOT_CREATED


def decide(
    status: Status, *, avatar_id: str | None = None, states: tuple[SubmissionState, ...] = (), **facts: bool
) -> RequestAction:
    flags = {"is_same_request": False, "has_called": False, "is_erased": False, **facts}
    return decide_request(status, avatar_id, states, **flags)


@pytest.mark.parametrize("status", Status)
def test_same_request_attaches_and_renews_urls_if_accepted(status: Status) -> None:
    expected = RequestAction.RENEW if status is Status.ACCEPTED else RequestAction.ATTACH
    assert decide(status, is_same_request=True) is expected
    assert decide(status, is_same_request=True, has_called=True) is RequestAction.ATTACH


@pytest.mark.parametrize("status", Status)
def test_other_request_replaces_only_what_was_never_accepted(status: Status) -> None:
    is_replaceable = status in {Status.ACCEPTED, Status.REJECTED}
    expected = RequestAction.REPLACE if is_replaceable else RequestAction.CONFLICT
    assert decide(status) is decide(status, states=(NOT_CREATED, NOT_CREATED)) is expected


@pytest.mark.parametrize(
    ("status", "state"),
    list(product((Status.ACCEPTED, Status.REJECTED), sorted(set(SubmissionState) - {NOT_CREATED}))),
)
def test_any_other_submission_is_a_conflict(status: Status, state: SubmissionState) -> None:
    assert decide(status, states=(NOT_CREATED, state)) is RequestAction.CONFLICT


@pytest.mark.parametrize("status", [Status.ACCEPTED, Status.REJECTED])
def test_avatar_earlier_call_or_erasure_is_a_conflict(status: Status) -> None:
    assert decide(status, avatar_id="a-1") is RequestAction.CONFLICT
    assert decide(status, has_called=True) is RequestAction.CONFLICT
    assert decide(status, is_erased=True) is RequestAction.CONFLICT


@pytest.mark.parametrize("status", Status)
def test_erased_request_only_attaches(status: Status) -> None:
    assert decide(status, is_same_request=True, is_erased=True) is RequestAction.ATTACH


@pytest.mark.parametrize("states", [(), (NOT_CREATED,)])
def test_retrain_takes_rejected_and_waiting_after_a_submission(states: tuple[SubmissionState, ...]) -> None:
    for has_other_recordings in (False, True):
        assert retrainable_statuses(states, has_other_recordings=has_other_recordings) == RETRAINABLE_STATUSES
    submitted = (*states, SubmissionState.CREATED)
    with_rejected = RETRAINABLE_STATUSES | {Status.REJECTED}
    assert retrainable_statuses(submitted, has_other_recordings=False) == with_rejected
    assert retrainable_statuses(submitted, has_other_recordings=True) == with_rejected | {Status.ACCEPTED}


def test_every_terminal_status_that_is_not_final_can_be_reopened() -> None:
    reopened = RESUMABLE_STATUSES | RETRYABLE_STATUSES | RETRAINABLE_STATUSES
    assert reopened == {status for status in Status if status.is_terminal} - FINAL_STATUSES
    assert all(Status.ACCEPTED in TRANSITIONS[status] for status in RETRYABLE_STATUSES | RETRAINABLE_STATUSES)
    assert all(Status.TRAINING in TRANSITIONS[status] for status in RESUMABLE_STATUSES | RETRAINABLE_STATUSES)
