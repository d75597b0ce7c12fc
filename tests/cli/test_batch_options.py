"""`avatars batch`: the template, and the options about the manifest's format and columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.main import run
from media.manifest_loader import load_manifest
from models.exit_codes import EXIT_OK, EXIT_USAGE
from models.image_request import ImageRequest
from tests.workbooks import xlsx


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    return tmp_path


@pytest.mark.parametrize("name", ["creators.xlsx", "creators.csv"])
def test_template_is_a_manifest_with_one_example(name: str) -> None:
    assert run(["batch", "--template", name]) == EXIT_OK
    manifest = load_manifest(name)
    assert [(row.name, row.reference) for row in manifest.rows] == [("Ada Lovelace", "creator-4712")]
    assert manifest.rows[0].request is not None
    assert [*manifest.notices] == []


def test_template_has_a_place_for_an_image() -> None:
    assert run(["batch", "--template", "creators.csv"]) == EXIT_OK
    text = Path("creators.csv").read_text(encoding="utf-8-sig")
    header, _ = text.splitlines()
    Path("creators.csv").write_text(f"{header}\nBob,,https://e.example/b.png,https://e.example/c.mp4,bob,\n")
    [row] = load_manifest("creators.csv").rows
    assert isinstance(row.request, ImageRequest)


@pytest.mark.parametrize("name", ["creators.ods", "creators", "none/creators.xlsx", "exists.xlsx"])
def test_template_replaces_nothing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("exists.xlsx").write_bytes(b"a list that was filled in")
    assert run(["batch", "--template", name]) == EXIT_USAGE
    assert f"cannot write the template {name}" in capsys.readouterr().err
    assert Path("exists.xlsx").read_bytes() == b"a list that was filled in"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "the batch has no manifest"),
        (["list.xlsx"], "the column 'dataset_video' is missing"),
        (
            ["list.xlsx", "--map", "Clip=dataset_video", "--map", "Who=name", "--strict"],
            "not a column of a manifest",
        ),
        (["list.xlsx#"], "cannot read the manifest list.xlsx#…: No such file"),
        (["list.csv#Sheet"], "a sheet is named after .xlsx or .ods only"),
        (["."], "cannot read the manifest .:"),
        (["list.csv", "--format", "xlsx"], "it is not a workbook"),
        (["s3://bucket/list.csv"], "pass a presigned HTTPS URL of it"),
        (["list.xlsx", "--map", "Clip"], "is not HEADER=COLUMN"),
        (["list.xlsx", "--format", "csv"], "is not a text file"),
        (["list.xlsx#List 2"], "it has no sheet 'List 2'"),
        (["list.xlsx#Sheet", "--results", "list.xlsx"], "it is the manifest itself"),
        (["list.xlsx", "--results", "out.ods"], "ends in .csv, .xlsx or .json"),
    ],
)
def test_unusable_manifest_or_option_is_bad_usage(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("list.csv").write_text("name,dataset_video,consent_video\n")
    Path("list.xlsx").write_bytes(
        xlsx([["Who", "Clip", "Consent", "Notes"], ["Ada", "https://h/d", "https://h/c", "x"]])
    )
    assert run(["batch", *args]) == EXIT_USAGE
    assert message in " ".join(capsys.readouterr().err.split())
