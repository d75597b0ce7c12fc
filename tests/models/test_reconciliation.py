"""The result of a reconciliation pass, as text and as JSON."""

from __future__ import annotations

from collections import Counter

from models.reconciliation import ReconcileResult, format_counts


def test_summary_contains_every_count() -> None:
    result = ReconcileResult(resumed=3, advanced=2, cancelled=1, by_status={"TRAINING": 1, "READY": 1})
    assert result.summary == "3 runs resumed; 2 orphaned provisionings advanced; 1 cancelled; 1 READY; 1 TRAINING"


def test_summary_names_unknown_avatars() -> None:
    assert ReconcileResult(unknown_avatars=60).summary.endswith("; 60 unknown avatars")


def test_found_voices_are_news() -> None:
    assert ReconcileResult(voices=2).has_changes
    assert ReconcileResult(voices=2).summary.endswith("0 cancelled; 2 voices found")


def test_json_has_the_documented_fields() -> None:
    assert ReconcileResult(advanced=1, by_status={"READY": 1}).to_json() == {
        "resumed": 0,
        "advanced": 1,
        "cancelled": 0,
        "by_status": {"READY": 1},
        "unknown_avatars": 0,
        "voices": 0,
    }


def test_format_counts_is_sorted_and_empty_without_counts() -> None:
    assert format_counts(Counter(b=2, a=1)) == "; 1 a; 2 b"
    assert format_counts({}) == ""


def test_one_of_a_kind_is_in_the_singular() -> None:
    result = ReconcileResult(resumed=1, advanced=1, voices=1, unknown_avatars=1)
    assert result.summary == (
        "1 run resumed; 1 orphaned provisioning advanced; 0 cancelled; 1 voice found; 1 unknown avatar"
    )
