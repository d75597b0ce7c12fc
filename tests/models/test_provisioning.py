"""The life of a provisioning: which transitions there are."""

from __future__ import annotations

import pytest

from models.provisioning import TRANSITIONS, Status

REOPENED = {Status.TIMED_OUT, Status.CANCELLED}
UNDER_WAY = {Status.ACCEPTED, Status.SUBMITTING, Status.TRAINING}


def test_the_statuses_are_the_designs() -> None:
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


def test_the_table_of_transitions_knows_every_status() -> None:
    assert set(TRANSITIONS) == set(Status)


@pytest.mark.parametrize("status", Status)
def test_a_status_is_an_end_unless_a_driver_has_work_in_it(status: Status) -> None:
    assert status.is_end is (status not in UNDER_WAY)


@pytest.mark.parametrize("status", [status for status in Status if status.is_end and status not in REOPENED])
def test_no_way_leads_out_of_an_end(status: Status) -> None:
    assert TRANSITIONS[status] == frozenset()


@pytest.mark.parametrize(
    ("status", "ways"),
    [
        (Status.TIMED_OUT, {Status.TRAINING, Status.CANCELLED}),
        (Status.CANCELLED, UNDER_WAY),
    ],
)
def test_a_late_or_cancelled_one_is_reopened_where_work_goes_on(status: Status, ways: set[Status]) -> None:
    assert TRANSITIONS[status] == ways


def test_every_status_but_the_first_can_be_reached_from_it() -> None:
    reached = {Status.ACCEPTED}
    while new := {after for before in reached for after in TRANSITIONS[before]} - reached:
        reached |= new
    assert reached == set(Status)
    assert all(any(status in ways for ways in TRANSITIONS.values()) for status in Status)


@pytest.mark.parametrize("status", Status)
def test_no_status_leads_to_itself(status: Status) -> None:
    assert status not in TRANSITIONS[status]


@pytest.mark.parametrize("status", sorted(UNDER_WAY))
def test_a_person_can_stop_whatever_is_under_way(status: Status) -> None:
    assert Status.CANCELLED in TRANSITIONS[status]


def test_an_avatar_comes_of_a_recorded_submission_only() -> None:
    """TRAINING is entered from SUBMITTING, or again by what had an avatar before."""
    assert {before for before, ways in TRANSITIONS.items() if Status.TRAINING in ways} == {
        Status.SUBMITTING,
        *REOPENED,
    }
    assert {before for before, ways in TRANSITIONS.items() if Status.READY in ways} == {Status.TRAINING}
