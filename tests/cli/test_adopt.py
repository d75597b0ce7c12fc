"""`avatars adopt`: 120 avatars made elsewhere with one command, and every refusal with its exit code."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from simulator.server import ArgilSimulator
from tests.cli.test_account import create
from tests.cli_process import avatars

pytestmark = pytest.mark.system


def ids(argil: ArgilSimulator) -> list[str]:
    return [str(avatar["id"]) for avatar in argil.account.avatars]


def write_map(path: Path, pairs: list[tuple[str, str]]) -> str:
    lines = "".join(f"{avatar_id};{reference}\r\n" for avatar_id, reference in pairs)
    path.write_bytes(f"\ufeffavatar_id;reference\r\n{lines}".encode())
    return str(path)


def test_account_made_elsewhere_is_adopted_by_one_command(simulated: ArgilSimulator, tmp_path: Path) -> None:
    create(simulated, [{}] * 120)
    path = write_map(tmp_path / "map.csv", [(key, f"mary-{number}") for number, key in enumerate(ids(simulated))])
    preview = avatars("adopt", "--all", "--map", path, "--dry-run", "--json")
    assert (preview.code, preview.document["adopted"], preview.document["provisionings"]) == (0, 120, [])
    lists = simulated.account.count("GET /avatars")
    adopted = avatars("adopt", "--all", "--map", path, "--json")
    assert simulated.account.count("GET /avatars") == lists + 1
    assert (adopted.code, adopted.document["adopted"], adopted.document["remaining"]) == (0, 120, 0)
    assert {item["avatar_id"] for item in adopted.document["provisionings"]} == set(ids(simulated))
    assert all(item["submissions"] == [] for item in adopted.document["provisionings"])
    assert not avatars("account", "--json").document["has_drift"]
    again = avatars("adopt", "--all", "--map", path, "--json")
    assert (again.code, again.document["adopted"], again.document["already_adopted"]) == (0, 0, 120)
    assert len(simulated.account.posts) == 120


def test_one_avatar_is_adopted_once(simulated: ArgilSimulator) -> None:
    create(simulated, [{}, {"submission_id": str(uuid.uuid4())}])
    elsewhere, ours = ids(simulated)
    first = avatars("adopt", elsewhere, "--reference", "mary-1", "--json")
    assert (first.code, first.document["is_new"], first.document["reference"]) == (0, True, "mary-1")
    again = avatars("adopt", elsewhere, "--reference", "mary-1")
    assert again.code == 0
    assert "already adopted" in again.err
    for arguments, code in (
        ((elsewhere, "--reference", "mary-2"), "request.avatar-on-record"),
        ((ours, "--reference", "mary-2"), "request.avatar-is-ours"),
        (("none", "--reference", "mary-2"), "request.avatar-not-listed"),
    ):
        refused = avatars("adopt", *arguments, "--json")
        assert (refused.code, refused.document["error"]["code"]) == (2, code)
    assert len(simulated.account.posts) == 2


def test_problems_of_a_map_are_listed_and_nothing_is_adopted(simulated: ArgilSimulator, tmp_path: Path) -> None:
    create(simulated, [{}, {"submission_id": str(uuid.uuid4())}])
    elsewhere, ours = ids(simulated)
    path = write_map(tmp_path / "map.csv", [(elsewhere, "mary-1"), (ours, "mary-2"), ("none", "mary-3")])
    failed = avatars("adopt", "--all", "--map", path)
    assert failed.code == 2
    assert "line 3: " in failed.err
    assert "line 4: " in failed.err
    assert avatars("list", "--json").document == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a-1",),
        ("--reference", "r"),
        ("--all",),
        ("--map", "map.csv"),
        ("a-1", "--all", "--map", "map.csv"),
        ("--all", "--map", "/none/map.csv"),
        ("--all", "--map", "/"),
    ],
)
def test_arguments_that_name_nothing_to_adopt_are_a_usage_error(
    simulated: ArgilSimulator, arguments: tuple[str, ...]
) -> None:
    failed = avatars("adopt", *arguments, "--json")
    assert failed.code == 2
    assert failed.document["error"]["hint"]
    assert simulated.account.count("GET /avatars") == 0
