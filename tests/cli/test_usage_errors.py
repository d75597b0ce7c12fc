"""Usage errors and options of every command: one JSON document, one form of each error, no hidden negations."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys

import pytest
from cyclopts import App

from cli.main import COMMANDS, build_app, run
from models.errors import ArgilUnauthorized
from models.exit_codes import EXIT_OK, EXIT_USAGE


def _list_commands() -> list[tuple[str, ...]]:
    """Return every command, those of a group with its name."""
    commands: list[tuple[str, ...]] = []
    for command in COMMANDS:
        module, _, attribute = command.import_path.partition(":")
        target = getattr(importlib.import_module(module), attribute)
        if isinstance(target, App):
            commands += [(command.name, name) for name in target if not name.startswith("-")]
        else:
            commands.append((command.name,))
    return commands


ALL_COMMANDS = _list_commands()


def read_error(args: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Return the only JSON document of a usage error, which stderr repeats as text."""
    assert run(args) == EXIT_USAGE
    output = capsys.readouterr()
    error: dict[str, str] = json.loads(output.out)["error"]
    assert error["code"].startswith("request.")
    assert error["hint"]
    assert output.err.startswith("error ")
    assert error["message"] in output.err
    return error


@pytest.mark.parametrize("command", ALL_COMMANDS, ids=" ".join)
def test_unknown_option_with_json_is_one_document(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    error = read_error([*command, "--no-such-option", "--json"], capsys)
    assert re.search("no-such-option|is required", error["message"])
    assert error["hint"] == f"`avatars {' '.join(command)} --help` explains the command"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["show"], "ID is required"),
        (["show", "a", "b"], "unexpected argument 'b'"),
        (["show", "a", "b", "c"], "unexpected arguments 'b', 'c'"),
        (["check", "a"], "--role is required; it is one of dataset, consent, image, voice-sample"),
        (["check", "a", "--role", "x"], "--role: must be one of dataset, consent, image, voice-sample; it is 'x'"),
        (["webhook", "register"], "--url is required"),
        (["list", "--limit", "abc"], "--limit: must be a whole number; it is 'abc'"),
        (["up", "--training-seconds", "x"], "--training-seconds: must be a number; it is 'x'"),
        (["webhook", "lst"], 'Did you mean "list"?'),
        (["webhook"], "--json"),
        ([], "--json"),
        (["list", "--limit"], "--limit needs a value"),
        (["list", "--limit", "-3"], 'Invalid value "-3" for --limit'),
        (["list", "--status", "redy"], "TRAINING, READY,"),
        (["up", "--port", "-1"], 'Invalid value "-1" for --port'),
        (["up", "--port", "65536"], 'Invalid value "65536" for --port'),
        (["up", "--training-seconds", "-1"], "for --training-seconds"),
        (["simulate", "--port", "65535"], 'Invalid value "65535" for --port'),
        (["simulate", "--training-seconds", "nan"], 'Invalid value "nan" for --training-seconds'),
        (["simulate", "--training-seconds", "inf"], 'Invalid value "inf" for --training-seconds'),
        (["batch", "x.csv", "--concurrency", "0"], 'Invalid value "0" for --concurrency'),
        (["up", "--no-simulate"], "--no-simulate"),
        (["list", "--no-json"], "--no-json"),
        (["list", "--empty-extra"], "--empty-extra"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_value_with_json_is_one_document(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # simulate and up have no --json, so the bad value must be what is refused: it comes first.
    assert message in read_error([*args, "--json"], capsys)["message"]


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("hlep", "avatars --help"),
        ("lsit", "avatars list"),
        ("enqueu", "avatars enqueue"),
        ("--list", "avatars list"),
    ],
)
def test_unknown_command_suggests_the_nearest(
    name: str, suggestion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = read_error([name, "--json"], capsys)
    assert error["message"] == f"no command is named {name!r}"
    assert error["hint"].startswith(f"did you mean `{suggestion}`?")


def test_unknown_command_imports_no_command() -> None:
    script = "import sys; from cli.main import run; run(['no-such']); sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, capture_output=True).returncode == EXIT_OK


@pytest.mark.parametrize("command", ALL_COMMANDS, ids=" ".join)
def test_help_explains_every_option_and_fits_80_columns(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*command, "--help"]) == EXIT_OK
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert not re.findall(r"--(?:no|empty)-\w+|default: False|PROVISIONING|\[ARGS", text)
    app = build_app(command)
    for name in command:
        app = app[name]
    for argument in app.assemble_argument_collection(parse_docstring=True):
        if argument.name != "*":  # a class whose fields are the options
            assert (argument.parameter.help or "").endswith((".", ")")), argument.name


@pytest.mark.parametrize("command", ALL_COMMANDS, ids=" ".join)
def test_paragraphs_of_help_are_not_broken(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "2000")
    assert run([*command, "--help"]) == EXIT_OK
    description = capsys.readouterr().out.partition("╭")[0]
    assert all(line.endswith((".", ":")) for line in description.splitlines()[1:] if line and line[0] != " ")


def test_json_flag_with_a_value_gives_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    for flag, has_document in (("--json=true", True), ("--json=false", False)):
        assert run(["list", "--limit", "x", flag]) == EXIT_USAGE
        assert bool(capsys.readouterr().out) == has_document


def test_several_statuses_in_one_value_suggest_to_repeat_the_option(capsys: pytest.CaptureFixture[str]) -> None:
    hint = read_error(["list", "--status", "ready,timed-out", "--json"], capsys)["hint"]
    assert hint.startswith("repeat the option: `--status ready --status timed-out`")
    assert "repeat" not in read_error(["list", "--status", "ready,x", "--json"], capsys)["hint"]


@pytest.mark.parametrize(
    ("typed", "question"),
    [("--nam", "did you mean `--name` instead of `--nam`? "), ("--dataset-video", ""), ("--reference", "")],
)
def test_required_option_with_a_typo_is_suggested(
    typed: str, question: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for args in ([typed, "Ada"], [f"{typed}=Ada"]):
        error = read_error(["provision", *args, "--json"], capsys)
        assert error["message"] == "--name is required"
        assert error["hint"] == f"{question}`avatars provision --help` explains the command"


def test_help_without_dashes_is_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help"]) == EXIT_OK
    assert "Usage: avatars COMMAND" in capsys.readouterr().out


def test_request_without_recordings_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    error = read_error(["provision", "--name", "Ada", "--json"], capsys)
    assert error["hint"] == "give --dataset-video or --image, and --consent-video"


def test_several_problems_are_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["enqueue", "--name", "", "--dataset-video", "https://h.example/d"]) == EXIT_USAGE
    error = capsys.readouterr().err
    assert error.startswith("error 2 problems:\n  - name: is empty\n  - consent_video: is required\n")
    assert error.count("is empty") == 1


def test_error_of_a_command_without_a_provisioning_resumes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ArgilUnauthorized("Argil rejects the API key", hint="check ARGIL_API_KEY, then `avatars resume ID`")

    monkeypatch.setattr("cli.account.Settings.load", fail)
    run(["account"])
    assert "check ARGIL_API_KEY, then run the command again" in capsys.readouterr().err
