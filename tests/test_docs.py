"""The docs say what the code does: tables against code, and every command that they name."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cli.main import run
from models.outcomes import OUTCOMES
from models.provisioning import TRANSITIONS, Status
from models.resolution import Resolution
from models.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SETTINGS = {name.upper() for name in Settings.model_fields}


def table(text: str, first_column: str) -> list[list[str]]:
    """Return the rows of the markdown table with this first column."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first_column} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def test_the_readme_tells_each_outcome_as_the_code_does() -> None:
    told = {row[0]: (int(row[1]), row[2], row[3]) for row in table(README, "Outcome")}
    assert told == {
        status: (outcome.exit_code, outcome.meaning, outcome.next_step)
        for status, outcome in OUTCOMES.items()
        if status.is_end
    }


def test_the_outcomes_page_tells_each_status_and_transition() -> None:
    page = (ROOT / "docs/outcomes.md").read_text()
    events = {row[0]: row[3].strip("`") or None for row in table(page, "Status")}
    assert events == {status: outcome.event for status, outcome in OUTCOMES.items()}
    names = {row[0]: row[2] for row in table(page, "Status")}
    assert all(f'"{OUTCOMES[status].state_name}"' in names[status] for status in Status if status.is_end)
    ways = {row[0]: {Status(name) for name in row[1].split(", ")} for row in table(page, "From")}
    assert ways == {status: set(to) for status, to in TRANSITIONS.items() if to}
    assert [row[0] for row in table(page, "Resolution")] == list(Resolution)


def test_the_automations_page_tells_each_event_and_each_automation() -> None:
    from deployments.automations import automations
    from deployments.notices import NOTICES

    page = (ROOT / "docs/automations.md").read_text()
    outcomes = {outcome.event for outcome in OUTCOMES.values() if outcome.event}
    assert {row[0].strip("`") for row in table(page, "Event")} == outcomes | {notice.event for notice in NOTICES}
    told = {row[0]: row[1] for row in table(page, "Automation")}
    assert list(told) == [one.name for one in automations(None)]
    assert all(f"`{notice.event}`" in told[f"avatars: notify when {notice.when}"] for notice in NOTICES)


def test_every_setting_is_in_the_readme_with_its_default_and_in_the_example() -> None:
    rows = {row[0]: row[1] for row in table(README, "Name")}
    assert set(rows) == SETTINGS
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | float | str):
            assert rows[name.upper()].partition(";")[0].lower() == str(field.default).lower()
    example = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#? ?([A-Z0-9_]+)=", example, re.MULTILINE)) == SETTINGS


def test_every_media_code_is_explained_and_no_other() -> None:
    sources = [*(ROOT / "clients").glob("*.py"), *(ROOT / "models").glob("*.py"), ROOT / "tasks/check_recording.py"]
    text = "\n".join(path.read_text() for path in sources)
    given = set(re.findall(r'MediaRejected\(\s*"([a-z-]+)"', text))
    given |= set(re.findall(r'yield \(?\s*"([a-z-]+)"', (ROOT / "models/media.py").read_text()))
    given |= set(re.findall(r'Refusal\(\s*"([a-z-]+)"', text))
    given |= set(re.findall(r'code=f"\{role\}\.([a-z-]+)"', text))
    assert {row[0] for row in table((ROOT / "docs/media.md").read_text(), "Code")} == given


@pytest.mark.parametrize("row", table(README, "Command"), ids=lambda row: row[0])
def test_every_command_of_the_readme_exists_with_the_options_named(
    row: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = row[0].strip("`").split()
    command = [word for word in words[1:3] if word.isalpha() and word.islower()]
    assert run([*command, "--help"]) == 0
    told = capsys.readouterr().out
    assert f"Usage: avatars {' '.join(command)}" in told
    for option in re.findall(r"--[a-z-]+", row[0]):
        assert option in told


def test_no_file_names_a_package_registry_or_a_secret() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    registries = re.compile("|".join(["py" + r"pi\.org", "pythonho" + "sted", r"registry\.np" + "mjs"]))
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        assert path.stat().st_size <= 100_000 or path.name == "requirements.lock", name
        assert not registries.search(path.read_text(errors="replace")), name


def test_each_guarantee_names_a_test_that_exists() -> None:
    page = (ROOT / "docs/guarantees.md").read_text()
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 15
    assert named <= there
