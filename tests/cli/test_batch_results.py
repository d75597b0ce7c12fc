"""`avatars batch --results`: a file that cannot be written, or that is an input, is refused at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.main import run
from models.exit_codes import EXIT_USAGE

CONTENT = "name,dataset_video,consent_video\nAda,https://h.example/d.mp4,https://h.example/c.mp4\n"


@pytest.fixture(autouse=True)
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manifest in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.json'}")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.csv"))
    path = tmp_path / "m.csv"
    path.write_text(CONTENT)
    return path


def refusal(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    folder = Path()
    before = {path: path.is_file() and path.read_bytes() for path in folder.iterdir() if not path.is_fifo()}
    assert run(["batch", *args]) == EXIT_USAGE
    assert {path: path.is_file() and path.read_bytes() for path in folder.iterdir() if not path.is_fifo()} == before
    return capsys.readouterr().err


@pytest.mark.parametrize("results", ["m.csv", "./m.csv", "{}/m.csv", "x/../m.csv", "link.csv", "hard.csv"])
@pytest.mark.parametrize("manifest_name", ["m.csv", "{}/m.csv", "other-link.csv"])
def test_results_that_are_the_manifest_are_refused(
    results: str, manifest_name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x").mkdir()
    for link in ("link.csv", "other-link.csv"):
        Path(link).symlink_to("m.csv")
    Path("hard.csv").hardlink_to("m.csv")
    error = refusal(capsys, manifest_name.format(tmp_path), "--dry-run", "--results", results.format(tmp_path))
    assert "cannot be written: it is the manifest itself" in error
    assert "--results" in error


@pytest.mark.parametrize(
    ("results", "name"), [("ledger.json", "the ledger"), ("ca.csv", "SSL_CERT_FILE"), ("env.csv", ".env")]
)
@pytest.mark.parametrize("exists", [False, True])
def test_results_that_are_another_input_are_refused(
    results: str, name: str, capsys: pytest.CaptureFixture[str], *, exists: bool
) -> None:
    if exists or name == ".env":
        Path(results).touch(0o600)
    if name == ".env":
        Path(".env").symlink_to(results)
    assert f"it is {name} itself" in refusal(capsys, "m.csv", "--results", results)


@pytest.mark.parametrize(
    ("results", "cause"),
    [
        ("pipe.csv", "a named pipe"),
        ("folder.csv", "a folder"),
        ("none/r.csv", "the folder none does not exist"),
        ("m.csv/r.csv", "the folder m.csv does not exist"),
    ],
)
def test_results_that_cannot_be_written_are_refused_first(
    results: str, cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo("pipe.csv")
    Path("folder.csv").mkdir()
    assert f"cannot be written: it is {cause}".replace("it is the", "the") in refusal(
        capsys, "m.csv", "--results", results
    )


def test_default_results_beside_a_pipe_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("m.results.csv")
    assert "a named pipe" in refusal(capsys, "m.csv")
