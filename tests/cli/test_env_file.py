"""Commands in a folder whose `.env` another user can change: each refuses before it connects anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.main import run
from models.exit_codes import EXIT_OPERATIONAL_ERROR

COMMANDS = [
    *(["list"], ["show", "x"], ["db", "upgrade"], ["doctor"], ["webhook", "list"], ["reconcile"], ["resume", "x"]),
    *(["deploy", "--pool", "x"], ["automations", "apply"], ["credentials"], ["cancel", "x"], ["erase", "x"]),
    *(["batch", "m.csv"], ["check", "https://h.example/a.mp4", "--role", "dataset"], ["evidence", "x"]),
    *(["release", "x", "--reason", "y"], ["archive", "--older-than-days", "1", "--dry-run"]),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_command_refuses_a_file_that_others_can_change(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / ".env"
    file.write_text("ARGIL_API_URL=https://canary.example\nPREFECT_API_URL=https://canary.example/api\n")
    file.chmod(0o666)
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    assert run(command) == EXIT_OPERATIONAL_ERROR
    output = capsys.readouterr()
    assert "other users can change it (mode 0666)" in " ".join((output.out + output.err).split())
    assert "canary" not in output.out + output.err
    assert list(tmp_path.iterdir()) == [file]
