"""The lock files pin, with hashes and no index, what the project needs on every supported Python."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS: dict[str, list[str] | None] = {
    "requirements.lock": [],
    "requirements-dev.lock": ["demo", "dev"],
    "benchmarks/requirements.lock": None,
}
"""The extras of pyproject.toml that each file contains; None for a file with other requirements."""
ENTRY = re.compile(r"([a-z0-9-]+)==[\w.+!]+(?: ; [^\\]+)? \\(?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)+")
FIRST_RELEASES = ["3.11.0", "3.12.0", "3.13.0", "3.14.0"]
"""Of each supported Python: some packages need a backport on the first ones alone, and Debian 12 has 3.11.2."""


def without_comments(lock: str) -> str:
    lines = (ROOT / lock).read_text().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def pinned_versions(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([\w.+!]+)", without_comments(lock), re.MULTILINE))


def required(extras: list[str], python: str) -> list[Requirement]:
    """Return each requirement of the project and of its installed dependencies, on this Python."""
    python_version = python.rpartition(".")[0]
    environment = {"python_version": python_version, "python_full_version": python}
    lines = [
        *PROJECT["dependencies"],
        *(line for extra in extras for line in PROJECT["optional-dependencies"][extra]),
    ]
    waiting = [(Requirement(line), "") for line in lines]
    found: dict[str, Requirement] = {}
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({**environment, "extra": extra}):
            continue
        requirement.name = canonicalize_name(requirement.name)
        requirement.marker = None
        if str(requirement) in found:
            continue
        found[str(requirement)] = requirement
        try:
            needed = importlib.metadata.requires(requirement.name) or []
        except importlib.metadata.PackageNotFoundError:  # only another Python needs it; it is compared all the same
            continue
        waiting += [(Requirement(line), extra) for line in needed for extra in ("", *requirement.extras)]
    return list(found.values())


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_with_hashes_and_names_no_index(lock: str) -> None:
    assert pinned_versions(lock)
    assert ENTRY.sub("", without_comments(lock)).strip() == ""


@pytest.mark.parametrize("python", FIRST_RELEASES)
@pytest.mark.parametrize("lock", [lock for lock, extras in LOCKS.items() if extras is not None])
def test_lock_has_what_each_python_needs(lock: str, python: str) -> None:
    pinned = pinned_versions(lock)
    unmet = [
        str(requirement)
        for requirement in required(LOCKS[lock] or [], python)
        if requirement.name not in pinned or not requirement.specifier.contains(pinned[requirement.name])
    ]
    assert unmet == []


@pytest.mark.parametrize("lock", ["requirements.lock", "benchmarks/requirements.lock"])
def test_locks_agree_on_versions(lock: str) -> None:
    development = pinned_versions("requirements-dev.lock")
    shared = {name: version for name, version in pinned_versions(lock).items() if name in development}
    assert shared
    assert shared == {name: development[name] for name in shared}


def test_pythons_are_those_of_the_project() -> None:
    bounds = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"])
    assert bounds is not None
    assert [f"3.{minor}.0" for minor in range(int(bounds[1]), int(bounds[2]))] == FIRST_RELEASES
