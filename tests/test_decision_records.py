"""Architecture decision records (docs/adr) are complete, and they name evidence and code that exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.test_docs import table

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs/adr"
INDEX = (FOLDER / "README.md").read_text()
RECORDS = sorted(path for path in FOLDER.iterdir() if path.name != "README.md")
SECTIONS = ["Status", "Context", "Decision", "Alternative considered", "What decided", "Consequences", "Code"]
STATUS = re.compile(r"proposed|accepted|rejected|superseded by \d{4}")
ISSUE = re.compile(r"\b[\w.-]+/[\w.-]+#\d+\b")
FILE = re.compile(r"`([\w.-]+(?:/[\w.-]+)*\.(?:py|md|toml|lock))`")
LINK = re.compile(r"\]\(([^)#]+)(?:#([^)]+))?\)")
TEST = re.compile(r"`(test_\w+)`")
MAX_LINES = 25

each_record = pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)


def sections(text: str) -> dict[str, str]:
    """Return the text of each section by its title, in the order of the record."""
    parts = re.split(r"^- \*\*([^*]+):\*\*", text, flags=re.MULTILINE)
    return {title: " ".join(body.split()) for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def heading_anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_numbers_are_consecutive() -> None:
    numbers = [re.fullmatch(r"(\d{4})-[a-z0-9-]+\.md", path.name) for path in RECORDS]
    assert [match and int(match[1]) for match in numbers] == list(range(1, len(RECORDS) + 1))


def test_index_has_number_title_and_status_of_each() -> None:
    expected = []
    for path in RECORDS:
        text = path.read_text()
        number, title = text.splitlines()[0].removeprefix("# ").split(" ", 1)
        expected.append([f"[{number}]({path.name})", title, sections(text)["Status"]])
        assert path.name.startswith(number)
    assert table(INDEX, "Number") == expected


def test_template_has_the_required_sections() -> None:
    assert list(sections(INDEX.partition("## Template")[2])) == SECTIONS


def test_code_refers_to_existing_records() -> None:
    sources = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    text = "\n".join((ROOT / name).read_text() for name in sources.stdout.splitlines())
    named = set(re.findall(r"docs/adr/\d[\w-]*\.md", text))
    assert named
    assert named <= {f"docs/adr/{path.name}" for path in RECORDS}


@each_record
def test_record_has_each_required_section_in_order(path: Path) -> None:
    text = path.read_text()
    found = sections(text)
    assert list(found) == SECTIONS
    assert all(found.values())
    assert STATUS.fullmatch(found["Status"])
    assert len(text.splitlines()) <= MAX_LINES


@each_record
def test_record_names_code_that_exists(path: Path) -> None:
    code = sections(path.read_text())["Code"]
    names = re.findall(r"`([^`]+)`", code)
    assert code == ", ".join(f"`{name}`" for name in names)
    assert [name for name in names if not (ROOT / name).exists()] == []


@each_record
def test_record_names_what_decided(path: Path) -> None:
    """It is a public issue, a page with measurements, a file or a test."""
    decided = sections(path.read_text())["What decided"]
    assert any(pattern.search(decided) for pattern in (ISSUE, LINK, FILE, TEST))


@each_record
def test_references_of_a_record_exist(path: Path) -> None:
    text = path.read_text()
    for target, anchor in LINK.findall(text):
        page = (FOLDER / target).resolve()
        assert page.is_file()
        assert not anchor or anchor in heading_anchors(page)
    assert [name for name in FILE.findall(text) if not (ROOT / name).is_file()] == []
    tests = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in TEST.findall(text) if f"def {name}(" not in tests] == []
    numbers = re.findall(r"\((\d{4})\)|superseded by (\d{4})", text)
    assert {number for pair in numbers for number in pair if number} <= {path.name[:4] for path in RECORDS}
