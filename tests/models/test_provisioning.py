"""The life cycle of a provisioning: its statuses and transitions."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Any

import pytest

from models.provisioning import FINAL_STATUSES, TRANSITIONS, Provisioning, Status

FINAL = {Status.READY, Status.REFUSED}
REOPENED_WITH_AVATAR = {
    Status.REJECTED,
    Status.TIMED_OUT,
    Status.CANCELLED,
    Status.TRAINING_FAILED,
    Status.SUBMISSION_FAILED,
    Status.VANISHED,
}
IN_FLIGHT = {Status.ACCEPTED, Status.SUBMITTING, Status.TRAINING}

MAX_RECORD_BYTES = 256
"""Without the values of its fields; a frozen pydantic model takes 1,281."""


def test_statuses_match_the_design() -> None:
    assert set(Status) == {
        "ACCEPTED",
        "REJECTED",
        "SUBMITTING",
        "TRAINING",
        "READY",
        "TRAINING_FAILED",
        "REFUSED",
        "SUBMISSION_FAILED",
        "TIMED_OUT",
        "VANISHED",
        "CANCELLED",
    }


def test_transition_table_has_every_status() -> None:
    assert set(TRANSITIONS) == set(Status)


@pytest.mark.parametrize("status", Status)
def test_status_is_terminal_unless_in_flight(status: Status) -> None:
    assert status.is_terminal is (status not in IN_FLIGHT)


def test_only_final_statuses_have_no_transition() -> None:
    assert {status for status, targets in TRANSITIONS.items() if not targets} == FINAL_STATUSES == FINAL


@pytest.mark.parametrize(
    ("status", "targets"),
    [
        (Status.TIMED_OUT, {Status.TRAINING, Status.CANCELLED}),
        (Status.CANCELLED, IN_FLIGHT),
        (Status.REJECTED, {Status.ACCEPTED, Status.TRAINING}),
        (Status.TRAINING_FAILED, {Status.ACCEPTED, Status.TRAINING}),
        (Status.SUBMISSION_FAILED, {Status.ACCEPTED, Status.TRAINING}),
        (Status.VANISHED, {Status.ACCEPTED, Status.TRAINING}),
    ],
)
def test_other_terminal_statuses_can_be_reopened(status: Status, targets: set[Status]) -> None:
    assert TRANSITIONS[status] == targets


def test_every_status_is_reachable_from_accepted() -> None:
    reached = {Status.ACCEPTED}
    while new := {target for source in reached for target in TRANSITIONS[source]} - reached:
        reached |= new
    assert reached == set(Status)
    assert all(any(status in targets for targets in TRANSITIONS.values()) for status in Status)


@pytest.mark.parametrize("status", Status)
def test_no_status_has_a_transition_to_itself(status: Status) -> None:
    assert status not in TRANSITIONS[status]


@pytest.mark.parametrize("status", sorted(IN_FLIGHT))
def test_every_status_in_flight_can_be_cancelled(status: Status) -> None:
    assert Status.CANCELLED in TRANSITIONS[status]


def test_training_is_entered_from_a_submission_only() -> None:
    """TRAINING is entered from SUBMITTING, after it from ACCEPTED, or from a status re-opened with an avatar."""
    assert {source for source, targets in TRANSITIONS.items() if Status.TRAINING in targets} == {
        Status.SUBMITTING,
        Status.ACCEPTED,
        *REOPENED_WITH_AVATAR,
    }
    assert {source for source, targets in TRANSITIONS.items() if Status.READY in targets} == {Status.TRAINING}


def test_record_of_a_provisioning_is_small() -> None:
    values: dict[str, Any] = dict.fromkeys(field.name for field in fields(Provisioning))
    record = Provisioning(**values)
    assert not hasattr(record, "__dict__")
    assert sys.getsizeof(record) <= MAX_RECORD_BYTES
