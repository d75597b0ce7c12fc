"""Rows of a batch that share recordings: one group per set of rows."""

from __future__ import annotations

from typing import Any

import pytest

from models.errors import InvalidManifest
from models.manifest.manifest import parse_rows
from models.manifest.shared_recordings import (
    MAX_LISTED_GROUPS,
    MAX_LISTED_ROWS,
    ContentIndex,
    find_shared_recordings,
    shared_recordings_error,
)

Row = tuple[str, str, str, str]
"""Name, dataset, consent and reference."""


def manifest(*rows: Row) -> list[Any]:
    return parse_rows(
        {
            "name": name,
            "dataset_video": f"https://videos.example/{dataset}",
            "consent_video": f"https://videos.example/{consent}",
            "reference": reference,
        }
        for name, dataset, consent, reference in rows
    )


ADA = ("Ada", "a.mp4", "a-consent.mp4", "r-1")


@pytest.mark.parametrize(
    ("rows", "groups"),
    [
        ([ADA], []),
        ([ADA, ("Eve", "e.mp4", "e-consent.mp4", "r-2")], []),
        ([("Ada", "a.mp4", "a.mp4", "r-1")], []),  # one row is one training
        ([ADA, ("Eve", "a.mp4", "a-consent.mp4", "r-2")], [((1, 2), ("a.mp4", "a-consent.mp4"))]),
        ([ADA, ("Ada", "a.mp4", "a-consent.mp4", "r-2")], [((1, 2), ("a.mp4", "a-consent.mp4"))]),
        ([ADA, ("Ada", "a.mp4?X-Amz-Signature=s", "e.mp4", "r-2")], [((1, 2), ("a.mp4",))]),
        ([ADA, ("Eve", "e.mp4", "a-consent.mp4", "r-2")], [((1, 2), ("a-consent.mp4",))]),
        ([ADA, ("Eve", "e.mp4", "a.mp4", "r-2")], [((1, 2), ("a.mp4",))]),
        ([ADA, ("Eve", "a-consent.mp4", "a.mp4", "r-2")], [((1, 2), ("a.mp4", "a-consent.mp4"))]),
        (
            [ADA, ("Eve", "a.mp4", "e.mp4", "r-2"), ("Kim", "k.mp4", "a-consent.mp4", "r-3")],
            [((1, 2), ("a.mp4",)), ((1, 3), ("a-consent.mp4",))],
        ),
        ([ADA, ("", "a.mp4", "a-consent.mp4", "r-2")], []),  # an invalid row sends nothing
        ([ADA, ADA], []),  # one reference twice: both rows are invalid
    ],
)
def test_rows_that_share_recordings_are_grouped(rows: list[Row], groups: list[Any]) -> None:
    found = find_shared_recordings(manifest(*rows))
    assert [(group.lines, tuple(url.rpartition("/")[2] for url in group.recordings)) for group in found] == groups


@pytest.mark.parametrize(
    ("recorded", "count"), [(set(), 1), ({"r-1"}, 1), ({"r-1", "r-2"}, 0), ({"r-2", "other"}, 1)]
)
def test_group_needs_a_row_that_is_not_recorded(recorded: set[str], count: int) -> None:
    rows = manifest(ADA, ("Eve", "a.mp4", "a-consent.mp4", "r-2"))
    assert len(find_shared_recordings(rows, recorded)) == count


def test_group_text_names_rows_roles_and_recording_only() -> None:
    signed = "a.mp4?X-Amz-Signature=canary-signature"
    rows = manifest(("Ada", signed, "a-c.mp4", "r-1"), ("Eve", "e.mp4", signed, ""), ("K", signed, "k.mp4", "k"))
    [group] = find_shared_recordings(rows)
    assert group.text == (
        "lines 1 ('r-1'), 2, 3 ('k') share the dataset and consent recording https://videos.example/a.mp4"
    )
    assert group.to_json()["lines"] == (1, 2, 3)


def test_long_group_text_and_error_are_bounded() -> None:
    rows = manifest(*((f"name {n}", "a.mp4", f"{n}.mp4", f"r-{n}") for n in range(MAX_LISTED_ROWS + 5)))
    [group] = find_shared_recordings(rows)
    assert "and 5 more share the dataset recording" in group.text
    error = shared_recordings_error([group] * (MAX_LISTED_GROUPS + 2))
    assert isinstance(error, InvalidManifest)
    assert error.message.endswith("; and 2 more groups")
    assert "--allow-shared-recordings" in error.hint


@pytest.mark.parametrize(
    ("consent", "facts", "count"),
    [
        ("copy.mp4?X-Amz-Signature=canary-signature", {"consent": {"sample_sha256": "1"}}, 1),
        ("copy.mp4", {"dataset": {"sample_sha256": "1"}}, 1),  # a copy of the consent, used as a dataset
        ("copy.mp4", {"consent": {"sample_sha256": "2"}}, 0),
        ("a-consent.mp4?X-Amz-Signature=other", {"consent": {"sample_sha256": "1"}}, 0),  # known before the check
        ("copy.mp4", {"consent": {"sample_sha256": None}, "dataset": None}, 0),
        ("copy.mp4", {}, 0),
    ],
)
def test_copy_under_another_url_is_warned_about(consent: str, facts: dict[str, Any], count: int) -> None:
    first, second = manifest(ADA, ("Eve", "e.mp4", consent, "r-2"))
    contents = ContentIndex()
    assert contents.find_copies(first.line, first.request, {"consent": {"sample_sha256": "1"}}) == []
    warnings = contents.find_copies(second.line, second.request, facts)
    assert len(warnings) == count
    assert all("recording has the same content as one of line 1" in warning.message for warning in warnings)
    assert {warning.code.partition(".")[2] for warning in warnings} == ({"copied"} if count else set())
    assert "canary" not in str(warnings)
