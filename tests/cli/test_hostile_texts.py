"""Output of the commands with hostile texts in the ledger, the arguments and the responses of Argil."""

from __future__ import annotations

import asyncio
import io
import json
import unicodedata
from pathlib import Path

import pytest
from rich.console import Console

from cli.batch_display import table_of_rows
from cli.console import MAX_TERMINAL_CHARACTERS, print_json, print_line, print_status
from cli.main import run
from cli.terminal import shown, stdout_console
from models.batch import RowResult
from models.clock import SystemClock
from models.errors import AvatarsError
from models.exit_codes import EXIT_OK, EXIT_USAGE
from models.provisioning import LeaseOwner, Status
from models.reason import Reason
from models.request import ProvisioningRequest
from models.settings import Settings
from services.store import open_store
from tests.hostile_texts import CONTROL_TEXTS, HOSTILE_PARAMETERS, LONG, MARKUP_TEXTS

CONTROLS = "".join(text for text in CONTROL_TEXTS.values() if "\0" not in text and text.isprintable() is False)
STORABLE = CONTROLS.encode("utf-8", "ignore").decode().replace("\0", "")
"""Databases reject NUL and lone surrogates."""
MARKUP = " ".join(MARKUP_TEXTS.values())


def hidden_characters(output: str) -> list[str]:
    return [
        f"U+{ord(character):04X}"
        for character in output
        if character != "\n" and unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    ]


@pytest.fixture
def hostile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> str:
    """Record a provisioning with hostile texts everywhere, and return its id."""
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    request = provisioning_request.model_copy(update={"name": STORABLE + MARKUP})

    async def create() -> str:
        async with open_store(Settings.load(), SystemClock()) as store:
            opened, _ = await store.ledger.get_or_create(request, STORABLE + MARKUP, owner)
            submitting, submission = await store.ledger.begin_submission(opened, owner, STORABLE)
            reason = Reason(code="argil.rejected", message=STORABLE + MARKUP, hint=STORABLE + LONG)
            await store.ledger.record_duplicate(submitting, owner, submission.id, f"other{STORABLE}", STORABLE)
            await store.ledger.transition(
                submitting,
                owner,
                STORABLE,
                new_status=Status.TRAINING,
                raw_status=STORABLE,
                avatar_id=STORABLE,
                reasons=[reason],
            )
            return opened.id

    return asyncio.run(create())


@pytest.mark.parametrize("has_styles", [False, True])
@pytest.mark.parametrize("command", ["list", "show", "evidence"])
def test_command_prints_no_control_character(
    command: str,
    has_styles: bool,
    hostile: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if has_styles:
        monkeypatch.setenv("FORCE_COLOR", "1")
    assert run([command] if command == "list" else [command, hostile]) == EXIT_OK
    output = capsys.readouterr()
    assert hidden_characters(output.out + output.err) == []
    assert "\\" in output.out


@pytest.mark.parametrize("command", ["list", "show", "evidence"])
def test_json_output_has_each_text_unchanged(
    command: str, hostile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, *([] if command == "list" else [hostile]), "--json"]) == EXIT_OK
    output = capsys.readouterr().out
    assert output.isascii()
    assert hidden_characters(output) == []
    document = json.loads(output)
    assert (document[0] if command == "list" else document)["reference"] == STORABLE + MARKUP


@pytest.mark.parametrize("has_styles", [False, True])
@pytest.mark.parametrize("text", HOSTILE_PARAMETERS)
def test_each_printed_text_is_one_line(
    text: str, has_styles: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if has_styles:
        monkeypatch.setenv("FORCE_COLOR", "1")  # the console of Rich exists, so it prints plain text
    print_line(text)
    print_status(text)
    output = capsys.readouterr()
    for printed in (output.out, output.err):
        assert printed.count("\n") == 1
        assert hidden_characters(printed) == []
        assert len(printed) <= MAX_TERMINAL_CHARACTERS + 1


@pytest.mark.parametrize("has_styles", [False, True])
@pytest.mark.parametrize("text", MARKUP_TEXTS.values(), ids=MARKUP_TEXTS)
def test_markup_is_printed_as_it_is(
    text: str, has_styles: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if has_styles:
        monkeypatch.setenv("FORCE_COLOR", "1")
    print_line(text)
    print_status(text)
    output = capsys.readouterr()
    assert output.out == output.err == f"{text}\n"


def test_console_escapes_what_a_command_did_not(capsys: pytest.CaptureFixture[str]) -> None:
    stdout_console.print("\x1b[2J\u202e:bomb:")
    assert capsys.readouterr().out == "\\x1b[2J\\u202e:bomb:\n"


@pytest.mark.parametrize("text", HOSTILE_PARAMETERS)
def test_json_document_stays_valid(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": text})
    output = capsys.readouterr().out
    assert hidden_characters(output) == []
    assert "text" in json.loads(output)


@pytest.mark.parametrize("arguments", [["show"], ["list", "--since"], ["check", "--role", "dataset"], ["no-such"]])
def test_error_message_shows_the_argument_escaped(
    arguments: list[str], hostile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, f"x{CONTROLS}"]) == EXIT_USAGE
    output = capsys.readouterr()
    assert hidden_characters(output.out + output.err) == []


def test_live_table_and_title_show_no_control_character() -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, color_system=None, width=200)
    row = RowResult(1, CONTROLS, CONTROLS, "INVALID", reasons=[Reason(code="x", message=CONTROLS, hint=CONTROLS)])
    console.print(table_of_rows([row]))
    console.print(shown(CONTROLS))
    assert hidden_characters(terminal.getvalue()) == []


def test_message_of_an_error_is_bounded() -> None:
    assert len(AvatarsError(LONG, hint=LONG).message) == len(AvatarsError("x", hint=LONG).hint) == 4000
