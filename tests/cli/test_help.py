"""`avatars --help`, and the modules that commands import."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shlex
import subprocess
import sys

import pytest
from cyclopts import App

from cli.examples import EXAMPLES
from cli.main import COMMANDS, Command, build_app, run
from models.exit_codes import EXIT_BATCH_INCOMPLETE, EXIT_OK, EXIT_OPERATIONAL_ERROR
from models.outcomes import OUTCOMES

REPORT_IMPORTS = """
import sys
from cli.main import run
code = run(sys.argv[1:])
print(code, *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""

RECORDING_OPTIONS = ("--dataset-video", "--image", "--consent-video", "--voice-sample")
EXPENSIVE_PACKAGES = {"prefect", "sqlalchemy", "pydantic_settings", "asyncio", "ssl", "rich", "dotenv", "difflib"}
"""Each would take a hundredth or more of the CPU time of `avatars list`, whose target is 0.6 seconds."""


def imported_packages(*args: str) -> tuple[str, set[str]]:
    """Run a command in a new process and return its exit code and the packages that it imported."""
    completed = subprocess.run(
        [sys.executable, "-c", REPORT_IMPORTS, *args], capture_output=True, text=True, timeout=60, check=True
    )
    code, *packages = completed.stderr.splitlines()[-1].split()
    return code, set(packages)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_summaries_match_the_commands(command: Command) -> None:
    module, _, attribute = command.import_path.partition(":")
    target = getattr(importlib.import_module(module), attribute)
    documentation = (target.help if isinstance(target, App) else inspect.getdoc(target)) or ""
    assert documentation.partition("\n")[0] == command.summary


def test_overview_lists_every_command_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == EXIT_OK
    overview = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for command in COMMANDS:
        assert f"{command.name} {command.summary}" in overview
    positions = [
        overview.index(f" {group} ─") for group in ("Provision", "Inspect", "Operate", "Set up", "Options")
    ]
    assert positions == sorted(positions)


def test_overview_ends_with_a_start_and_every_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["--help"]) == EXIT_OK
    start, _, codes = capsys.readouterr().out.partition("Start:")[2].partition("Exit codes:")
    commands = re.findall(r"  (avatars .*?)(?:   |$)", start, re.MULTILINE)
    assert [command.split()[1] for command in commands] == [
        *("demo", "simulate", "check", "batch", "batch", "batch", "list")
    ]
    for command in commands:
        arguments = shlex.split(command.partition(" > ")[0])[1:]
        assert callable(build_app(arguments).parse_args(arguments, exit_on_error=False, print_error=False)[0])
    documented = {outcome.exit_code for outcome in OUTCOMES.values()} | {
        EXIT_BATCH_INCOMPLETE,
        EXIT_OPERATIONAL_ERROR,
    }
    assert {int(code) for code in re.findall(r"(?:^|  )(\d+)  ", codes)} == documented


def test_every_command_has_examples() -> None:
    assert list(EXAMPLES) == [command.name for command in COMMANDS]


@pytest.mark.parametrize("example", [example for examples in EXAMPLES.values() for example in examples])
def test_examples_are_commands_that_fit_the_screen(example: str) -> None:
    words = shlex.split(example.replace("\\\n", "").partition(" > ")[0])
    arguments = words[words.index("avatars") + 1 :]
    command, _, _ = build_app(arguments).parse_args(arguments, exit_on_error=False, print_error=False)
    assert callable(command)
    assert max(map(len, example.splitlines())) <= 78
    if words[1] in {"provision", "enqueue"}:  # an image request without it is refused by default
        assert "--consent-video" in words
    if words[1] in {"provision", "enqueue", "retrain"}:
        # A path needs AVATARS_UPLOAD_URL, which is not set by default.
        videos = [words[words.index(option) + 1] for option in words if option in RECORDING_OPTIONS]
        assert all(re.match("s3://|https://", video) for video in videos)


@pytest.mark.parametrize("command", ["provision", "enqueue"])
def test_help_says_what_a_path_and_an_image_need(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "2000")
    assert run([command, "--help"]) == EXIT_OK
    lines = capsys.readouterr().out.splitlines()
    for option in RECORDING_OPTIONS:
        [line] = [line for line in lines if re.match(rf"│ [*]? +{option} ", line)]
        assert "needs AVATARS_UPLOAD_URL" in line
    assert any("--consent-video" in line and "AVATARS_IMAGE_CONSENT" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "examples"),
    [
        (["db"], ["avatars db upgrade", "avatars db backup avatars-2026-11-27.db"]),
        (["db", "backup", "--help"], ["avatars db backup avatars-2026-11-27.db"]),
        (["voice", "--help"], ["avatars voice creator-4711 0d8f4f0f-6a11-4a52-9a5f-8d7c9d5e4f4a"]),
    ],
)
def test_help_ends_with_the_examples_of_the_command(
    words: list[str], examples: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, *(["--help"] if "--help" not in words else [])]) == EXIT_OK
    shown = capsys.readouterr().out.splitlines()[-len(examples) :]
    assert [line.strip() for line in shown] == examples


def test_command_help_keeps_its_whole_docstring(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["erase", "--help"]) == EXIT_OK
    assert "Erasure cannot be undone" in capsys.readouterr().out


def test_overview_imports_no_command() -> None:
    code, packages = imported_packages("--help")
    assert code == "0"
    assert packages.isdisjoint({"prefect", "pydantic", "sqlalchemy", "services.context"})


@pytest.mark.parametrize(
    ("args", "exit_code"),
    [
        (["list", "--json"], "0"),
        (["batches", "--json"], "0"),
        (["show", "missing"], "2"),
        (["check", "https://127.0.0.1:9/a.mp4", "--role", "consent"], "2"),
        (
            [
                "enqueue",
                "--name",
                "Ada",
                "--dataset-video",
                "https://h.example/d",
                "--consent-video",
                "https://h.example/c",
            ],
            "0",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
@pytest.mark.system
@pytest.mark.usefixtures("clean_environment")
def test_ledger_commands_do_not_import_prefect(args: list[str], exit_code: str) -> None:
    code, packages = imported_packages(*args)
    assert code == exit_code
    assert "prefect" not in packages


@pytest.mark.system
@pytest.mark.usefixtures("clean_environment")
def test_list_of_a_sqlite_ledger_imports_few_packages() -> None:
    assert imported_packages("list")[0] == "0"  # it creates the ledger, which needs SQLAlchemy
    for options in ([], ["--json"], ["--status", "READY", "--since", "2026-11-01"]):
        code, packages = imported_packages("list", *options)
        assert code == "0"
        assert packages & EXPENSIVE_PACKAGES == set()


@pytest.mark.system
@pytest.mark.usefixtures("clean_environment")
@pytest.mark.parametrize(("command", "is_enabled"), [("list", False), ("db", True)])
def test_only_commands_that_read_run_without_gc(command: str, is_enabled: bool) -> None:
    script = "import atexit, gc; atexit.register(lambda: print(gc.isenabled()))\n"
    script += f"import sys; from cli.__main__ import main; sys.argv = ['avatars', {command!r}]; main()"
    completed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert completed.stdout.splitlines()[-1] == str(is_enabled)


@pytest.mark.system
@pytest.mark.usefixtures("simulated")
def test_doctor_with_a_key_imports_prefect_last() -> None:
    code, packages = imported_packages("doctor", "--json")
    assert code
    assert "prefect" not in packages


def test_commands_send_no_usage_data_to_the_makers_of_prefect() -> None:
    """Prefect reads the variable when a command imports it."""
    script = "import atexit, os, sys; atexit.register(lambda: print(os.environ['DO_NOT_TRACK']))\n"
    script += "from cli.__main__ import main; sys.argv = ['avatars', '--version']; main()"
    environment = {name: value for name, value in os.environ.items() if name != "DO_NOT_TRACK"}
    completed = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert completed.stdout.splitlines()[-1] == "1"
