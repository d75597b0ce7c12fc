"""Compare the pages for contributors, the hooks and the workflow with the files, commands and names that exist."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
PAGES = (
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/development.md",
    "tests/chaos/README.md",
    ".github/pull_request_template.md",
    ".github/workflows/ci.yml",
)
SUFFIXES = "example|lock|md|png|py|toml|yaml|yml"
PATH = re.compile(rf"(?<![\w./~-])(?:\.?[\w-]+/)*(?:\.?[\w-]+\.(?:{SUFFIXES})\b|(?<=/)(?![\w*<.]))")
"""A file with one of the suffixes, or a folder with its final slash."""


def named_paths(text: str) -> set[str]:
    """Return the files and folders that a text names, without URLs."""
    return set(filter(None, PATH.findall(re.sub(r"https?://\S+", "", text))))


def workflow() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    return content


@pytest.fixture(scope="module")
def existing_paths() -> set[str]:
    """All files of the repository and their folders, each with a slash in front; folders also end with one."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = {f"/{name}" for name in names if name}
    return files | {f"{parent}/" for name in files for parent in Path(name).parents}


@pytest.mark.parametrize("page", PAGES)
def test_named_files_and_folders_exist(page: str, existing_paths: set[str]) -> None:
    named = named_paths((ROOT / page).read_text())
    missing = {name for name in named if not any(path.endswith(f"/{name}") for path in existing_paths)}
    assert missing == set()


def test_relative_links_of_all_pages_lead_to_files(existing_paths: set[str]) -> None:
    pages = [ROOT / path.lstrip("/") for path in existing_paths if path.endswith(".md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#\s]+)", page.read_text())]
    assert [
        (page.name, link) for page, link in links if "://" not in link and not (page.parent / link).exists()
    ] == []


def test_path_pattern_finds_files_and_folders() -> None:
    text = "`.ci/vocabulary.toml`, tests/chaos/ (see a/b_c.py), .env.example; not https://a.example/b.md or 1/2"
    assert named_paths(text) == {".ci/vocabulary.toml", "tests/chaos/", "a/b_c.py", ".env.example"}


@pytest.mark.parametrize("page", [*PAGES, "README.md", "docs/guarantees.md", ".ci/run"])
def test_named_make_targets_exist(page: str) -> None:
    named = re.findall(r"(?:`|run: |^ *(?:\$ )?)make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE)
    assert set(named) <= TARGETS


def test_make_help_lists_every_target() -> None:
    command = ["make", "--no-print-directory", "help"]  # the tests themselves are started by make
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    [phony] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert [line.split()[0] for line in listed.splitlines()] == phony.split()
    assert set(phony.split()) == TARGETS


def test_named_parts_of_the_ci_script_exist() -> None:
    parts = set(re.findall(r"^run_(\w+)\(\)", (ROOT / ".ci/run").read_text(), re.MULTILINE))
    for page in PAGES:
        for named in re.findall(r"\.ci/run((?: [a-z]+)+)", (ROOT / page).read_text()):
            assert set(named.split()) <= parts


def test_recipes_name_identifiers_of_the_named_files() -> None:
    recipes = CONTRIBUTING.partition("## Recipes")[2]
    files = [ROOT / name for name in named_paths(recipes) if name.endswith(".py")]
    sources = "\n".join(path.read_text() for path in files)
    named = re.findall(r"`(?:[A-Z]\w*\.)?(_?[A-Za-z][\w-]*)`", recipes)
    assert len(named) > 30
    assert [name for name in named if not re.search(rf"(?<!\w){name}(?!\w)", sources, re.IGNORECASE)] == []


def test_commits_name_the_headings_of_the_changelog() -> None:
    unreleased = (ROOT / "CHANGELOG.md").read_text().partition("## Unreleased")[2].partition("\n## ")[0]
    named = re.search(r"A line at the end of (.+) under Unreleased", CONTRIBUTING)
    assert named is not None
    assert set(re.findall(r"^### (.+)$", unreleased, re.MULTILINE)) <= set(re.split(r", | or ", named[1]))


def test_variables_of_the_tests_are_documented() -> None:
    read = set()
    for path in (ROOT / "tests").rglob("*.py"):
        read |= set(re.findall(r"os\.environ\.get\(\s*\"(AVATARS_[A-Z_]+)\"", path.read_text()))
    table = CONTRIBUTING.partition("| Variable |")[2].partition("\n\n")[0]
    assert set(re.findall(r"AVATARS_[A-Z_]+", table)) == read


def test_ci_runs_every_supported_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"])
    assert bounds is not None
    supported = [f"3.{minor}" for minor in range(int(bounds[1]), int(bounds[2]))]
    assert workflow()["jobs"]["test"]["strategy"]["matrix"]["python"] == supported


def test_ci_pins_actions_and_may_only_read() -> None:
    document = workflow()
    assert document["permissions"] == {"contents": "read"}
    for job in document["jobs"].values():
        assert "permissions" not in job
        for step in job["steps"]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", "a/b@" + 40 * "0"))


def test_hooks_are_local_and_need_no_network() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    for hook in repositories[0]["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/")
