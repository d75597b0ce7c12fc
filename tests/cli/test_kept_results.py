"""The results of a batch do not replace an earlier file in which rows may have been corrected."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from cli.batch_results import write_results
from media.manifest_loader import load_manifest
from models.batch import BatchProgress
from models.manifest.columns import parse_column_map
from models.manifest.manifest import DEFAULT_OPTIONS, ManifestOptions
from models.manifest.workbook import write_workbook
from models.provisioning import Status

COLUMNS = ["name", "dataset_video", "consent_video", "note"]
ROWS = [
    ["=Ada", "https://h.example/d.mp4?a=1;b", "https://h.example/c.mp4", "a, b\n'c'"],
    ["", "videos/d.mp4", "http://h.example/é", "00123"],
    ["'Grace", "https://h.example/d.mp4", "", ""],
]


def write_csv(path: Path, rows: list[list[str]], separator: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return path


def write_manifest(folder: Path, form: str) -> Path:
    path = folder / f"m.{form}"
    if form == "jsonl":
        path.write_text("\n".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in ROWS))
        return path
    if form == "xlsx":
        path.write_bytes(write_workbook("Creators", [COLUMNS, *ROWS]))
        return path
    return write_csv(path, [COLUMNS, *ROWS, ["Joan", "https://h.example/d.mp4", "", "", "beyond"]], ";")


def run(manifest: Path, results: Path, status: str, options: ManifestOptions = DEFAULT_OPTIONS) -> None:
    """Write the results of a run in which each row ended with a status."""
    loaded = load_manifest(str(manifest), options=options)
    progress = BatchProgress(loaded.rows, started_at=0.0)
    for number, row in enumerate(progress.rows):
        progress.update_row(number, replace(row, status=status), finished=True)
    write_results(results, progress, loaded, options)


def correct(results: Path) -> None:
    results.write_text(results.read_text(encoding="utf-8-sig").replace("d.mp4", "corrected.mp4"))


@pytest.mark.parametrize("form", ["csv", "xlsx", "jsonl"])
@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_outcomes_of_the_same_cells_are_replaced(tmp_path: Path, form: str, suffix: str) -> None:
    manifest, results = write_manifest(tmp_path, form), tmp_path / f"m.results.{suffix}"
    for status in (Status.REJECTED, Status.READY, Status.READY):
        run(manifest, results, status)
    assert {path.name for path in tmp_path.iterdir()} == {manifest.name, results.name}


def test_corrected_file_is_kept_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, results = write_manifest(tmp_path, "csv"), tmp_path / "m.results.csv"
    for number in (1, 2):
        run(manifest, results, Status.REJECTED)
        correct(results)
        corrected = results.read_bytes()
        capsys.readouterr()
        run(manifest, results, Status.REJECTED)
        kept = tmp_path / f"m.results.{number}.csv"
        assert kept.read_bytes() == corrected
        assert "corrected" not in results.read_text()
        assert f"kept as {kept}" in " ".join(capsys.readouterr().err.split()).replace("- ", "-")


@pytest.mark.parametrize("content", [b"a letter\n", b"\xff\xfe\x00", b"name,dataset_video,consent_video\n"])
def test_file_without_results_is_kept(tmp_path: Path, content: bytes) -> None:
    manifest, results = write_manifest(tmp_path, "csv"), tmp_path / "letter.csv"
    results.write_bytes(content)
    run(manifest, results, Status.READY)
    assert (tmp_path / "letter.1.csv").read_bytes() == content


def test_empty_file_and_json_are_replaced(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, "csv")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "old.json").write_text("[]")
    for results in (tmp_path / "empty.csv", tmp_path / "old.json"):
        run(manifest, results, Status.READY)
        assert "READY" in results.read_text()
    assert len([*tmp_path.iterdir()]) == 3


def test_note_in_a_column_of_results_is_kept(tmp_path: Path) -> None:
    manifest, results = write_manifest(tmp_path, "csv"), tmp_path / "m.results.csv"
    run(manifest, results, Status.REJECTED)
    noted = results.read_text(encoding="utf-8-sig").replace("REJECTED", "called Ada")
    results.write_text(noted)
    run(manifest, results, Status.REJECTED)
    assert (tmp_path / "m.results.1.csv").read_text() == noted


def test_rows_that_were_added_or_left_out_are_kept(tmp_path: Path) -> None:
    manifest, results = tmp_path / "m.csv", tmp_path / "m.results.csv"
    for count in (3, 2, 3):
        write_csv(manifest, [COLUMNS, *ROWS[:count]])
        run(manifest, results, Status.READY)
    assert [(tmp_path / f"m.results.{number}.csv").exists() for number in (1, 2, 3)] == [True, True, False]


def test_column_map_applies_to_the_earlier_file(tmp_path: Path) -> None:
    manifest, results = tmp_path / "m.csv", tmp_path / "m.results.csv"
    write_csv(manifest, [["Who", "Link", "Consent Link"], *(row[:3] for row in ROWS)])
    options = ManifestOptions(
        column_map=parse_column_map(["Who=name", "Link=dataset_video", "Consent Link=consent_video"])
    )
    for status in (Status.REJECTED, Status.READY):
        run(manifest, results, status, options)
    assert len([*tmp_path.iterdir()]) == 2
