"""LibreOffice opens what this project writes, and what it saves is read again with the same result."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from media.manifest_loader import load_manifest, parse_bytes
from models.batch import BatchProgress
from models.manifest.columns import RESULT_COLUMNS
from models.manifest.formats import Location
from models.manifest.manifest import Manifest
from models.manifest.template import TemplateFormat, render_template
from models.reports.batch_results import ResultsFormat, render_results
from tests.workbooks import as_text, xlsx

SOFFICE = shutil.which("soffice")
pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.skipif(SOFFICE is None, reason="LibreOffice is not installed: no soffice in PATH"),
]
FILTERS = {
    "xlsx": "xlsx:Calc MS Excel 2007 XML",
    "ods": "ods:calc8",
    # Separator, quote, UTF-8, from the first line, no column formats, no language, quote all text.
    "csv": "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,true",
}
D, C = "https://videos.example/{}/d.mp4?X-Amz-Signature=a%2Bb", "https://videos.example/{}/c.mp4"
HEADER = ["Notes", "Name", "Dataset video", "Consent", "Reference", "extras.age"]
TEXTS = ["=1+1", "-x", "@a", "'=x", "0012", "4711000000000001", "1-2", "Müller é 李", 'a "b", c;d', "TRUE"]


def saved_by_libreoffice(path: Path, suffix: str, folder: Path) -> Path:
    """Open a file in LibreOffice, save it in another format, and return its path."""
    folder.mkdir()
    assert SOFFICE is not None
    command = [SOFFICE, f"-env:UserInstallation=file://{folder / 'profile'}", "--headless", "--norestore"]
    if path.suffix == ".csv":
        command += ["--infilter=Text - txt - csv (StarCalc):44,34,76,1"]
    command += ["--convert-to", FILTERS[suffix], "--outdir", str(folder), str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    complaints = [line for line in ran.stderr.splitlines() if line and "javaldx" not in line]  # Java is optional
    assert complaints == []
    assert "error" not in ran.stdout.lower()
    return folder / f"{path.stem}.{suffix}"


def content_of(manifest: Manifest) -> list[tuple[str, str, str]]:
    return [
        (row.reference, row.name, row.request.fingerprint if row.request else str(row.problems))
        for row in manifest.rows
    ]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("suffix", FILTERS)
def test_template_is_read_after_libreoffice_saved_it(form: TemplateFormat, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"template.{form}"
    path.write_bytes(render_template(form))
    expected = content_of(load_manifest(str(path)))
    assert [name for _, name, _ in expected] == ["Ada Lovelace"]
    assert content_of(load_manifest(str(saved_by_libreoffice(path, suffix, tmp_path / "out")))) == expected


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("suffix", FILTERS)
def test_results_are_read_after_libreoffice_saved_them(form: ResultsFormat, suffix: str, tmp_path: Path) -> None:
    rows = [[text, f"{text} n", D.format(n), C.format(n), text, text] for n, text in enumerate(TEXTS)]
    manifest = parse_bytes(xlsx([HEADER, *rows], as_text), Location("list.xlsx"))
    path = tmp_path / f"results.{form}"
    path.write_bytes(render_results(BatchProgress(manifest.rows, 0.0), manifest, form))
    saved = load_manifest(str(saved_by_libreoffice(path, suffix, tmp_path / "out")))
    assert content_of(saved) == content_of(manifest)
    assert not set(saved.columns) & set(RESULT_COLUMNS)
