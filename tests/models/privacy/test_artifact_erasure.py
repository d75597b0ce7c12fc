"""Erasure of one person's rows in artifacts that list several people."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from models.privacy.artifact_erasure import (
    erase_in_artifact,
    has_namesake,
    is_mentioned_in_artifact,
    is_own_artifact,
)
from models.privacy.data_subject import DataSubject, LedgerTraces
from models.privacy.erasure import ERASED_PLACEHOLDER
from models.provisioning import Provisioning, Status
from models.reason import Reason
from models.reports.fleet_report import ERASED_ITEM, render_fleet_report
from models.text.escaping import inert, markdown
from tests.models.reports.test_markdown_reports import AT, provisioning

ID = "1c9771a1-0000-4000-8000-000000000001"
SUBJECT = DataSubject(ID, "creator-1", LedgerTraces(avatar_ids=("a-1",))).including(
    {"name": "Ada  L_ovelace", "dataset_video": "https://v.example/ada-1.mp4", "consent_video": ""}
)
BOB = {"line": "2", "status": "READY", "name": "Bob", "reference": "bob-1", "provisioning": "", "reasons": ""}
ADA = {"line": "1", "status": "READY", "name": "Ada", "reference": "creator-1", "provisioning": ID, "reasons": "x"}


@pytest.mark.parametrize(
    "row",
    [
        ADA,
        {**ADA, "reference": ""},
        {**ADA, "provisioning": ""},
        {**ADA, "reference": "", "provisioning": "", "avatar": "a-1"},
        {"rows": "lines 1, 2 share the dataset recording https://v.example/ada-1.mp4", "count": 2},
    ],
)
@pytest.mark.parametrize("encode", [lambda table: table, json.dumps])
def test_only_the_row_of_the_person_changes(row: dict[str, Any], encode: Any) -> None:
    erased = erase_in_artifact(encode([row, BOB]), SUBJECT)
    kept = {"line", "status", "count"}
    expected = {column: value if column in kept else ERASED_PLACEHOLDER for column, value in row.items()}
    assert erased == encode([expected, BOB])
    assert erase_in_artifact(erased, SUBJECT) == erased


@pytest.mark.parametrize(
    "data",
    [[BOB, {**BOB, "name": "Ada  L_ovelace"}], "[not json", "text", None, {"a": "b"}, 7, ["creator-1"], "[]"],
)
def test_data_without_the_person_is_unchanged(data: Any) -> None:
    assert erase_in_artifact(data, SUBJECT) == data


INVALID = {**BOB, "status": "INVALID", "name": inert("Ada  L_ovelace"), "reference": ""}


@pytest.mark.parametrize(
    ("row", "is_listed"),
    [
        (INVALID, True),
        ({**INVALID, "reference": "bob-1"}, False),
        ({**INVALID, "provisioning": "2c9771a1-0000-4000-8000-000000000002"}, False),
        ({**INVALID, "name": "Ada"}, False),
        ("Ada L_ovelace", False),
    ],
    ids=["no id", "reference", "provisioning", "name", "text"],
)
@pytest.mark.parametrize("encode", [lambda table: table, json.dumps])
def test_row_of_a_namesake_without_an_id_is_listed(row: Any, is_listed: bool, encode: Any) -> None:
    assert has_namesake(encode([BOB, row]), SUBJECT) is is_listed


@pytest.mark.parametrize("reference", ["2", "READY", "Bob"])
def test_reference_is_compared_with_its_column_only(reference: str) -> None:
    assert erase_in_artifact([BOB], replace(SUBJECT, reference=reference)) == [BOB]


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": inert("ada@v.example & Co. #1")},
        {"reasons": inert("media.size: https://www.v.example/~ada[1].mp4 is too large")},
        {"rows": inert("lines 1, 2 share the dataset recording https://www.v.example/~ada[1].mp4")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_row_is_recognized_as_it_is_shown(changes: dict[str, str]) -> None:
    subject = DataSubject(ID, "ada@v.example & Co. #1").including(
        {"name": "Ada", "dataset_video": "https://www.v.example/~ada[1].mp4"}
    )
    [ada, bob] = erase_in_artifact([{**BOB, **changes}, BOB], subject)
    assert ada["name"] == ERASED_PLACEHOLDER
    assert bob == BOB


@pytest.mark.parametrize("name", ["A\\da", "Ada | Co", "Ada <b>", "Ada  B"])
def test_line_is_recognized_as_it_is_shown(name: str) -> None:
    subject = DataSubject(ID, "creator-1").including({"name": name})
    line = f"| REFUSED | {markdown(name)} | 2026-11-24 08:00 | refused | contact Argil |"
    assert "(erased)" in erase_in_artifact(line, subject)


OTHER_ID = "2c9771a1-0000-4000-8000-000000000002"


@pytest.mark.parametrize(
    "line",
    [
        f"| REFUSED | Ada | 2026-11-24 08:00 | x | `avatars release {OTHER_ID} --reason ...` lifts it |",
        "| REJECTED | Bob | 2026-11-24 08:00 | https://v.example/ada-12.mp4 is too short | fix it |",
        "| REJECTED | Bob | 2026-11-24 08:00 | https://v.example/ada-1/bob.mp4 is too short | fix it |",
        "| REJECTED | Bob | 2026-11-24 08:00 | it is Ada | fix it |",
        "| REJECTED | Bob | 2026-11-24 08:00 | https://v.example/ada\\-1 is too short | fix it |",
        f"| REJECTED | Bob | 2026-11-24 08:00 | it belongs to provisioning {ID} | fix it |",
        f"| 2026-11-24 08:00:00 | REJECTED | it belongs to provisioning {ID} |",
        "| READY | 12 | the avatar can be used |",
        "| READY | Ada | the avatar can be used |",
    ],
    ids=["id", "longer", "below", "reason", "recording", "own id", "timeline", "avatar id", "count"],
)
def test_line_of_another_person_is_unchanged(line: str) -> None:
    subject = DataSubject(ID, "creator-1", LedgerTraces(avatar_ids=("12", "e"))).including(
        {"name": "Ada", "dataset_video": "https://v.example/ada-1"}
    )
    assert erase_in_artifact(line, subject) == line


@pytest.mark.parametrize("reason", ["https://v.example/ada-1.mp4 is too short", ID])
@pytest.mark.parametrize("show", [str, inert])
def test_row_of_another_provisioning_is_unchanged(reason: str, show: Callable[[str], str]) -> None:
    row = {**BOB, "provisioning": OTHER_ID, "reasons": show(reason)}
    assert erase_in_artifact([row], SUBJECT) == [row]


def test_row_of_a_person_named_like_the_placeholder_is_erased() -> None:
    [erased] = erase_in_artifact([{**ADA, "name": ERASED_PLACEHOLDER}], SUBJECT)
    assert erased["reasons"] == ERASED_PLACEHOLDER


@pytest.mark.parametrize(
    ("data", "is_mentioned"),
    [
        ("seen: https://v.example/ada\\-1.mp4", True),
        (f"- {ID}", True),
        ([{"url": "https://v.example/ada-1.mp4"}], True),
        ([{"reference": "creator-1"}], True),
        ([BOB], False),
        (None, False),
    ],
)
def test_artifact_of_another_project_is_searched(data: Any, is_mentioned: bool) -> None:
    assert is_mentioned_in_artifact(data, SUBJECT) is is_mentioned


@pytest.mark.parametrize("avatar_id", ["Bob", "bob-1", "READY", "2"])
def test_avatar_id_is_compared_with_its_column_only(avatar_id: str) -> None:
    assert erase_in_artifact([BOB], replace(SUBJECT, traces=LedgerTraces(avatar_ids=(avatar_id,)))) == [BOB]


def test_rows_of_the_fleet_report_are_erased() -> None:
    other = "| REFUSED | Bob | 2026-11-24 08:00 | refused | `avatars release 7` |"
    report = "\n".join(
        [
            "# Avatars",
            "| REFUSED | Ada L\\_ovelace | 2026-11-24 08:00 | refused | contact Argil |",
            f"| TIMED_OUT | Ada | 2026-11-24 08:00 | x | `avatars resume {ID}` |",
            "| REJECTED | Ada L\\_ovelace | 2026-11-24 08:00 | https://v.example/ada\\-1.mp4 is short | fix it |",
            other,
        ]
    )
    erased = erase_in_artifact(report, SUBJECT)
    assert erased.split("\n")[0] == "# Avatars"
    assert erased.split("\n")[4] == other
    for line, status in zip(erased.split("\n")[1:4], ("REFUSED", "TIMED_OUT", "REJECTED"), strict=True):
        assert line == f"| {status} | (erased) | (erased) | (erased) | (erased) |"
    assert erase_in_artifact(erased, SUBJECT) == erased


def test_items_of_the_fleet_report_are_erased() -> None:
    ada = fleet_provisioning(ID, "Ada  L_ovelace", "too short")
    mention = f"quarantined by {ID}, id {ID}, since"
    bob = fleet_provisioning(OTHER_ID, f"Bob, id {ID}, since", mention)
    report = render_fleet_report({}, {Status.REJECTED: [bob, ada, bob]}, AT)
    erased = erase_in_artifact(report, SUBJECT)
    assert "ovelace" not in erased
    assert "too short" not in erased
    assert erased.count(ERASED_ITEM) == 1
    without_ada = render_fleet_report({}, {Status.REJECTED: [bob, bob]}, AT)
    assert [line for line in erased.split("\n") if line != ERASED_ITEM] == without_ada.split("\n")
    assert erase_in_artifact(erased, SUBJECT) == erased


def fleet_provisioning(provisioning_id: str, name: str, reason: str) -> Provisioning:
    return provisioning(
        Status.REJECTED, name=name, id=provisioning_id, reasons=[Reason(code="c", message=reason, hint="")]
    )


@pytest.mark.parametrize(
    ("key", "data", "is_own"),
    [
        (f"avatar-{ID}", "", True),
        ("avatar-ada-lovelace-1c9771a1", f"| Provisioning | `{ID}` |", True),
        ("avatar-a-former-name-1c9771a1", f"| Provisioning | `{ID}` |", True),
        ("avatar-1c9771a1", f"| Provisioning | `{ID}` |", True),
        ("avatar-ada-lovelace-1c9771a1", ERASED_PLACEHOLDER, True),
        ("avatar-ada-lovelace-1c9771a1", "| Provisioning | `1c9771a1-9999-4000-8000-000000000001` |", False),
        ("avatar-ada-lovelace-2c9771a1", f"quarantined by `{ID}`", False),
        ("avatar-fleet", f"`{ID}`", False),
        ("avatar-2", f"belongs to provisioning {ID}", False),
        ("batch-1", f"`{ID}`", False),
        (None, f"`{ID}`", False),
    ],
)
def test_own_artifacts_are_the_reports_on_the_provisioning(key: str | None, data: str, is_own: bool) -> None:
    assert is_own_artifact(key, data, SUBJECT) is is_own
