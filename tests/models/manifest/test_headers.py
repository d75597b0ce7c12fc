"""The headers that documents and code name: each means its field in any spelling."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.manifest.columns import COLUMN_PATTERN, EXTRAS_PREFIX
from models.manifest.headers import NAME_PARTS, SYNONYMS, header_key, meaning_of
from models.manifest.rows import COLUMNS

DOCS = (Path(__file__).parents[3] / "docs/batch.md").read_text()


@pytest.mark.parametrize("field", SYNONYMS)
def test_docs_list_every_synonym_in_its_group(field: str) -> None:
    [listed] = re.findall(rf"^\| {field} \| (.+; .+) \|$", DOCS, re.MULTILINE)
    groups = [group.split(", ") for group in listed.split("; ")]
    assert groups == [list(group) for group in SYNONYMS[field]]


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("VIDEO D'ENTRAINEMENT", "dataset_video"),
        ("Vidéo d’entraînement (lien)", "dataset_video"),
        ("Consent [at most 30 s]", "consent_video"),
        ("Réf.", "reference"),
        ("Name (", "name"),
        ("(first) name (last)", "name"),
        ("(name) of", None),
        ("Dataset (a) (b)", "dataset_video"),
        ("", None),
        ("name" * 1000, None),
    ],
)
def test_accents_and_remarks_do_not_change_the_meaning(header: str, field: str | None) -> None:
    meaning = meaning_of(header)
    assert (meaning[0] if meaning else None) == field


def test_no_two_synonyms_have_one_key() -> None:
    headers = [*COLUMNS, *(header for groups in SYNONYMS.values() for group in groups for header in group)]
    assert len({header_key(header) for header in headers}) == len(headers)


def test_plain_header_precedes_one_with_a_remark() -> None:
    plain, with_remark = meaning_of("key"), meaning_of("reference (old)")
    assert plain is not None
    assert with_remark is not None
    assert plain[1] < with_remark[1]


def test_part_of_a_name_is_not_a_name() -> None:
    assert [part for part in NAME_PARTS if meaning_of(part) is not None] == []
    assert len({header_key(part) for part in NAME_PARTS}) == len(NAME_PARTS)


def test_form_accepts_every_column() -> None:
    for column in (*COLUMNS, f"{EXTRAS_PREFIX}team"):
        assert re.search(COLUMN_PATTERN, column)
    for column in ("", "video", "name ", EXTRAS_PREFIX, "my name"):
        assert not re.search(COLUMN_PATTERN, column)
