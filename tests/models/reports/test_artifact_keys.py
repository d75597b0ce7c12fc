"""The keys of the artifacts about provisionings: readable, valid for Prefect, and found after an erasure."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.actions import ArtifactCreate

from models.reports.artifact_keys import avatar_key, contains_key_of, is_key_of
from tests.hostile_texts import HOSTILE_PARAMETERS

ID = "1c9771a1-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Ada Lovelace", "avatar-ada-lovelace-1c9771a1"),
        ("  --Jean-Luc O'Neil (2)", "avatar-jean-luc-o-neil-2-1c9771a1"),
        ("Søren Æbelø Łukasz Straße", "avatar-soren-aebelo-lukasz-strasse-1c9771a1"),
        ("José İpek", "avatar-jose-ipek-1c9771a1"),
        ("李小龍", "avatar-1c9771a1"),
        ("Анна", "avatar-1c9771a1"),
        ("👩‍🔬", "avatar-1c9771a1"),
        ("(erased)", "avatar-erased-1c9771a1"),
        ("fleet", "avatar-fleet-1c9771a1"),
        ("x" * 300, f"avatar-{'x' * 40}-1c9771a1"),
        (f"{'x' * 39} y", f"avatar-{'x' * 39}-1c9771a1"),
    ],
)
def test_key_is_the_name_and_the_start_of_the_id(name: str, key: str) -> None:
    assert avatar_key(name, ID) == key


@given(st.text())
def test_key_of_any_name_is_valid_and_found(name: str) -> None:
    key = avatar_key(name, ID)
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", key)
    assert len(key) <= 60
    assert is_key_of(key, ID)
    assert contains_key_of(f"/v2/artifacts/key/{key}", ID)


@pytest.mark.parametrize("name", HOSTILE_PARAMETERS)
def test_prefect_accepts_the_key_of_a_hostile_name(name: str) -> None:
    assert ArtifactCreate(key=avatar_key(name, ID), type="markdown").key == avatar_key(name, ID)


@pytest.mark.parametrize(
    "key",
    [
        "avatar-fleet",
        "avatar-ada-lovelace-1c9771a2",
        "avatar-ada-1c9771a1-2c9771a1",
        "batch-1c9771a1",
        "avatar-ada1c9771a1",
        "x-avatar-1c9771a1",
        "",
    ],
)
def test_key_of_another_provisioning_is_not_taken_for_it(key: str) -> None:
    assert not is_key_of(key, ID)
    assert not contains_key_of(key, ID)


def test_key_of_an_earlier_version_is_found() -> None:
    assert is_key_of(f"avatar-{ID}", ID)
