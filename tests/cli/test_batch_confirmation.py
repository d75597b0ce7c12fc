"""`avatars batch` asks before it creates many avatars, and sends nothing without an answer."""

from __future__ import annotations

import os
import pty
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cli.batch_results import write_results
from cli.main import run
from media.manifest_loader import load_manifest
from models.batch import BatchProgress
from models.exit_codes import EXIT_OPERATIONAL_ERROR, EXIT_USAGE
from models.manifest.manifest import DEFAULT_OPTIONS
from models.provisioning import Status

ROWS = 412
HEADER = "name,dataset_video,consent_video\n"
CONFIRMED = EXIT_OPERATIONAL_ERROR
"""No API key is set, so a batch that was confirmed stops with this code before it sends anything."""


def manifest(path: Path, rows: int, *, is_shared: bool = False) -> str:
    urls = ["0" if is_shared else str(number) for number in range(rows)]
    lines = [
        f"Ada {number},https://h.example/{url}.mp4,https://h.example/{url}c.mp4" for number, url in enumerate(urls)
    ]
    path.write_text(HEADER + "\n".join(lines))
    return str(path)


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    monkeypatch.setenv("AVATARS_CREDENTIALS_BLOCK", "")
    return tmp_path / "ledger.db"


def test_large_batch_without_yes_sends_nothing(
    tmp_path: Path, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["batch", manifest(tmp_path / "m.csv", ROWS)]) == EXIT_USAGE
    output = " ".join(capsys.readouterr().err.split())
    assert "the batch would create 412 avatars, more than AVATARS_CONFIRM_CREATES=100" in output
    assert "--yes" in output
    with closing(sqlite3.connect(ledger)) as connection:
        for table in ("provisionings", "batches"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)  # noqa: S608  # constants


def test_results_that_cannot_be_written_start_nothing(
    tmp_path: Path, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No process can create a file in /proc, even if it runs as root."""
    assert run(["batch", manifest(tmp_path / "m.csv", 1), "--results", "/proc/results.csv"]) == EXIT_USAGE
    assert "the results file /proc/results.csv cannot be written" in " ".join(capsys.readouterr().err.split())
    assert not ledger.exists()


def test_results_that_were_not_written_are_not_announced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read = load_manifest(manifest(tmp_path / "m.csv", 1))
    progress = BatchProgress(read.rows, started_at=0.0)
    for folder, announced in ((tmp_path / "removed", "cannot write the results"), (tmp_path, "results written to")):
        write_results(folder / "results.csv", progress, read, DEFAULT_OPTIONS)
        assert announced in capsys.readouterr().err.replace("\n", " ")
    write_results(tmp_path / "removed" / "results.csv", progress, read, DEFAULT_OPTIONS)
    assert "results written" not in capsys.readouterr().err


def test_results_are_written_although_the_ledger_fails(tmp_path: Path, ledger: Path) -> None:
    """A refused row makes the command look for its release; only the advice depends on it."""
    ledger.write_bytes(b"not a database" * 100)
    read = load_manifest(manifest(tmp_path / "m.csv", 1))
    progress = BatchProgress(read.rows, started_at=0.0)
    refused = replace(progress.rows[0], id=str(uuid.uuid4())).with_status(Status.REFUSED, [])
    progress.update_row(0, refused, finished=True)
    write_results(tmp_path / "results.csv", progress, read, DEFAULT_OPTIONS)
    assert "REFUSED" in (tmp_path / "results.csv").read_text()


@pytest.mark.parametrize(
    ("rows", "options", "limit", "code"),
    [
        (101, [], "100", EXIT_USAGE),
        (100, [], "100", CONFIRMED),
        (101, ["--yes"], "100", CONFIRMED),
        (101, ["--dry-run"], "100", CONFIRMED),
        (2, [], "1", EXIT_USAGE),
    ],
)
def test_batch_needs_a_confirmation_beyond_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, options: list[str], limit: str, code: int
) -> None:
    monkeypatch.setenv("AVATARS_CONFIRM_CREATES", limit)
    assert run(["batch", manifest(tmp_path / "m.csv", rows), *options]) == code


def test_yes_does_not_allow_shared_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["batch", manifest(tmp_path / "m.csv", 2, is_shared=True), "--yes"]) == EXIT_USAGE
    assert "share recordings" in capsys.readouterr().err


@pytest.mark.system
@pytest.mark.parametrize(("reply", "code"), [(b"n\n", EXIT_USAGE), (b"\n", EXIT_USAGE), (b"y\n", CONFIRMED)])
def test_large_batch_is_asked_about_on_a_terminal(tmp_path: Path, reply: bytes, code: int) -> None:
    terminal, child_terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "batch", manifest(tmp_path / "m.csv", ROWS)],
        stdin=child_terminal,
        stdout=subprocess.DEVNULL,
        stderr=child_terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    os.close(child_terminal)
    output = b""
    while b"[y/N]" not in output and (chunk := _read(terminal)):
        output += chunk
    os.write(terminal, reply)
    while chunk := _read(terminal):
        output += chunk
    assert process.wait(100) == code
    assert b"412 avatars" in output


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux raises EIO once the other side is closed
        return b""
