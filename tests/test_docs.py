"""Compare tables, commands and test names in the docs with the code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cli.main import COMMANDS, run
from models.argil.response_meaning import RULES, Meaning
from models.media.codes import MediaCode
from models.outcomes import OUTCOMES
from models.provisioning import TRANSITIONS, Status
from models.retry import RESET_HEADERS
from models.settings import Settings
from models.submission_resolution import Resolution

ROOT = Path(__file__).parent.parent
COMMANDS_PAGE = (ROOT / "docs/commands.md").read_text()
SETTINGS_PAGE = (ROOT / "docs/settings.md").read_text()
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


def test_documented_outcomes_match_the_code() -> None:
    page = (ROOT / "docs/outcomes.md").read_text()
    documented = {row[0]: (int(row[1]), row[2], row[3]) for row in table(page, "Outcome")}
    assert documented == {
        status: (outcome.exit_code, outcome.description, outcome.next_step_for("ID"))
        for status, outcome in OUTCOMES.items()
        if status.is_terminal
    }


def test_outcomes_page_matches_statuses_and_transitions() -> None:
    page = (ROOT / "docs/outcomes.md").read_text()
    events = {row[0]: row[3].strip("`") or None for row in table(page, "Status")}
    assert events == {status: outcome.event for status, outcome in OUTCOMES.items()}
    names = {row[0]: row[2] for row in table(page, "Status")}
    assert all(f'"{OUTCOMES[status].state_name}"' in names[status] for status in Status if status.is_terminal)
    transitions = {row[0]: {Status(name) for name in row[1].split(", ")} for row in table(page, "From")}
    assert transitions == {status: set(to) for status, to in TRANSITIONS.items() if to}
    assert [row[0] for row in table(page, "Resolution")] == list(Resolution)


def test_responses_page_has_the_table_of_the_code() -> None:
    page = (ROOT / "docs/responses.md").read_text()
    rules = [[rule.operation, rule.statuses, rule.body.text, rule.meaning] for rule in RULES]
    assert table(page, "Request") == rules
    assert [row[0] for row in table(page, "Meaning")] == list(Meaning)
    headers = {
        name.strip() for row in table(page, "Header") for name in row[0].partition(" (")[0].lower().split(",")
    }
    assert headers == {"retry-after", *RESET_HEADERS}


def test_automations_page_lists_events_and_automations() -> None:
    from deployments.automations import build_automations
    from deployments.notifications import NOTIFICATION_TEMPLATES

    page = (ROOT / "docs/automations.md").read_text()
    outcomes = {outcome.event for outcome in OUTCOMES.values() if outcome.event}
    assert {row[0].strip("`") for row in table(page, "Event")} == outcomes | {
        notice.event for notice in NOTIFICATION_TEMPLATES
    }
    triggers = {row[0]: row[1] for row in table(page, "Automation")}
    assert list(triggers) == [automation.name for automation in build_automations(None)]
    assert all(
        f"`{notice.event}`" in triggers[f"avatars: notify when {notice.title}"] for notice in NOTIFICATION_TEMPLATES
    )


def test_settings_are_documented_with_their_defaults() -> None:
    rows = {row[0]: row[1] for row in table(SETTINGS_PAGE, "Name")}
    assert set(rows) == SETTINGS
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | float | str):
            assert rows[name.upper()].partition(";")[0].lower() == str(field.default).lower()
    example = (ROOT / ".env.example").read_text()
    assert set(re.findall(r"^#? ?([A-Z0-9_]+)=", example, re.MULTILINE)) == SETTINGS


def test_docs_explain_every_media_code() -> None:
    documented = [row[0] for row in table((ROOT / "docs/media.md").read_text(), "Code")]
    assert sorted(documented) == sorted(MediaCode)


@pytest.mark.parametrize("code", MediaCode)
def test_every_media_code_is_used(code: MediaCode) -> None:
    folders = ("media", "models", "services", "tasks")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert any(f"MediaCode.{code.name}" in path.read_text() for path in sources)


@pytest.mark.parametrize("row", table(COMMANDS_PAGE, "Command"), ids=lambda row: row[0])
def test_documented_commands_and_options_exist(row: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    args = row[0].strip("`").split()[1:]
    command = [arg for arg in args[:2] if arg.isalpha() and arg.islower()]
    assert run([*command, "--help"]) == 0
    usage = capsys.readouterr().out
    assert f"Usage: avatars {' '.join(command)}" in usage
    for option in re.findall(r"--[a-z-]+", row[0]):
        assert option in usage


def test_docs_list_every_command() -> None:
    documented = [row[0].strip("`").split()[1] for row in table(COMMANDS_PAGE, "Command")]
    assert list(dict.fromkeys(documented)) == [command.name for command in COMMANDS]


def test_no_file_names_a_package_registry() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    registries = re.compile("|".join(["py" + r"pi\.org", "pythonho" + "sted", r"registry\.np" + "mjs"]))
    for name in filter(None, tracked.stdout.split("\0")):
        path = ROOT / name
        assert path.stat().st_size <= 100_000 or path.suffix == ".lock", name
        assert not registries.search(path.read_text(errors="replace")), name


def test_guarantees_name_existing_tests() -> None:
    page = (ROOT / "docs/guarantees.md").read_text()
    existing = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 15
    assert named <= existing
