"""The results file: the manifest's own columns, then the results; it is a valid manifest again."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from dataclasses import replace

import pytest

from media.manifest_loader import parse_bytes
from models.batch import INVALID, BatchProgress
from models.errors import AvatarsError, ProvisioningErased, ReferenceConflict, ReferenceIsId
from models.manifest.columns import RESULT_COLUMNS
from models.manifest.formats import Location
from models.manifest.manifest import MAX_CELLS, Manifest, parse_manifest
from models.provisioning import Status
from models.reason import Reason
from models.reports.batch_results import ResultsFormat, render_results
from tests.hostile_texts import FORMULAS

URL = "https://videos.example/v.mp4?X-Amz-Signature=canary"
HEADER = ["Notes", "Reference", "Full Name", "Dataset video", "Consent", "extras.team"]
START = re.compile(r"[\s\"\u201c]*[=+\-@\u2212\uff1d\uff0b\uff0d\uff20\ufe66]")
"""Of a cell that a spreadsheet can evaluate; an apostrophe before it marks text."""
OTHER_TEXTS = [
    "0012",
    "4711000000000001",
    "1-2",
    "'90",
    "''",
    "3/4",
    "1e5",
    "a;b",
    'a "b"',
    "TRUE",
    "-",
    "+49 30",
    "'=x",
]


def manifest_of(texts: list[str], separator: str = ";") -> Manifest:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=separator)
    writer.writerow(HEADER)
    writer.writerows([text, f"r{number}", f"{text}x", URL, URL, text] for number, text in enumerate(texts))
    return parse_manifest(buffer.getvalue().encode(), "csv")


def results_of(manifest: Manifest, form: ResultsFormat) -> bytes:
    progress = BatchProgress(manifest.rows, started_at=0.0)
    for number, row in enumerate(progress.rows):
        if row.status != INVALID:
            ready = replace(row, status=Status.READY, id="id", avatar_id="4711000000000001", voice_id="v-1")
            progress.update_row(number, replace(ready, reasons=[Reason(code="c", message="=m")]), finished=True)
    return render_results(progress, manifest, form)


def requests_of(manifest: Manifest) -> list[object]:
    return [
        row.request or [problem.message.partition(": ")[2] for problem in row.problems] for row in manifest.rows
    ]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_results_file_is_the_same_manifest_again(form: ResultsFormat) -> None:
    manifest = manifest_of([*FORMULAS, *OTHER_TEXTS, "a\nb", "a\u202eb"])
    again = parse_bytes(results_of(manifest, form), Location(f"creators.results.{form}"))
    assert requests_of(again) == requests_of(manifest)
    assert [*again.columns] == HEADER
    twice = parse_bytes(results_of(again, form), Location(f"creators.results.{form}"))
    assert requests_of(twice) == requests_of(manifest)


def test_csv_results_have_the_own_columns_then_the_results() -> None:
    data = results_of(manifest_of(["Ü", ""]), "csv")
    assert data.startswith("\ufeffNotes;Reference;".encode())
    first, second = csv.DictReader(io.StringIO(data.decode("utf-8-sig")), delimiter=";")
    assert list(first) == [*HEADER, *RESULT_COLUMNS]
    assert (first["Notes"], first["Dataset video"]) == ("Ü", URL)
    assert (first["result_status"], first["result_reasons"]) == ("READY", "c: =m")
    assert first["result_voice_id"] == "v-1"
    assert first["result_next_step"] == "use the avatar id and the voice id with Argil's video API"
    assert second["result_status"] == "READY"


@pytest.mark.parametrize("text", [*FORMULAS, *OTHER_TEXTS])
def test_no_cell_of_csv_results_is_a_formula(text: str) -> None:
    data = results_of(manifest_of([text]), "csv").decode("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(data), delimiter=";") for cell in row]
    assert not any(START.match(part) for cell in cells for part in cell.split(";"))


def test_no_cell_of_xlsx_results_is_a_formula() -> None:
    data = results_of(manifest_of([*FORMULAS, "#N/A"]), "xlsx")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        styles = archive.read("xl/styles.xml").decode()
    assert "<f>" not in sheet
    assert 't="e"' not in sheet
    assert ' t="n"><v>' not in sheet
    assert 'quotePrefix="1"' in styles


@pytest.mark.parametrize(("form", "separator"), [("csv", ","), ("csv", "\t")])
def test_csv_results_have_the_separator_of_the_manifest(form: ResultsFormat, separator: str) -> None:
    data = results_of(manifest_of(["a"], separator), form).decode("utf-8-sig")
    assert data.startswith(separator.join(HEADER))


def test_results_of_jsonl_have_its_keys_as_columns() -> None:
    row = {"name": "Ada", "dataset_video": URL, "consent_video": URL, "extras": {"team": "berlin"}}
    manifest = parse_manifest(json.dumps(row).encode(), "jsonl")
    again = parse_bytes(results_of(manifest, "csv"), Location("a.csv"))
    assert requests_of(again) == requests_of(manifest)


def test_json_results_have_every_row() -> None:
    documents = json.loads(results_of(manifest_of(["a", "b"]), "json"))
    assert [document["status"] for document in documents] == [Status.READY, Status.READY]
    fields = {"line", "reference", "name", "status", "id", "avatar_id", "voice_id", "reasons", "warnings"}
    assert set(documents[0]) == fields


def test_yaml_values_of_any_type_have_cells() -> None:
    text = f"""
- {{name: [a], dataset_video: "{URL}", consent_video: 2020-01-01,
   extras: {{!!binary aGk=: 1, 2: [x], 2020-01-01: d}}}}
- {{name: 4711, dataset_video: "{URL}", consent_video: ~, reference: !!set {{b}}, !!binary aGk=: 1}}
"""
    manifest = parse_manifest(text.encode(), "yaml")
    assert manifest.columns == ["name", "dataset_video", "consent_video", "extras", "reference"]
    assert [row.cells for row in manifest.rows] == [
        ('["..."]', URL, "2020-01-01", '{"b\'hi\'": 1, "2": ["..."], "2020-01-01": "d"}', ""),
        ("4711", URL, "", "", '{"b": null}'),
    ]


def test_results_of_jsonl_repeat_a_limited_number_of_keys() -> None:
    row = {"name": "a", "dataset_video": URL, **{f"key-{number}": "" for number in range(MAX_CELLS)}}
    manifest = parse_manifest(json.dumps(row).encode(), "jsonl")
    assert (len(manifest.columns), [len(row.cells) for row in manifest.rows]) == (MAX_CELLS, [MAX_CELLS])


def test_short_row_below_a_wide_header_has_few_cells() -> None:
    header = ["name", "dataset_video", "consent_video", *(f"note {number}" for number in range(1000))]
    manifest = parse_manifest(f"{','.join(header)}\na,{URL},{URL}\n".encode(), "csv")
    assert (len(manifest.columns), manifest.rows[0].cells) == (1003, ("a", URL, URL))
    assert b"READY" in results_of(manifest, "csv")


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_cells_beyond_the_header_are_read_as_before(form: ResultsFormat) -> None:
    text = f"reference,name,dataset_video,consent_video\nr1,Lovelace, Ada,{URL},{URL}\nr2,Eve,{URL},{URL}\n"
    manifest = parse_manifest(text.encode(), "csv")
    again = parse_bytes(results_of(manifest, form), Location(f"creators.results.{form}"))
    assert [row.cells for row in again.rows] == [row.cells for row in manifest.rows]
    assert [row.request is None for row in again.rows] == [True, False]


def test_next_step_of_a_row_is_that_of_its_case() -> None:
    """A cancelled batch did not record the first row, so no command can name its id."""
    manifest = manifest_of(["a", "b", "c", "d"])
    progress = BatchProgress(manifest.rows, started_at=0.0)
    day = Reason(code="budget.day", message="used up", hint="")
    for number, (status, row_id, reasons) in enumerate(
        [
            (Status.CANCELLED, None, []),
            (Status.CANCELLED, "p-1", []),
            (Status.ACCEPTED, "p-2", [day]),
            (Status.ACCEPTED, "p-3", []),
        ]
    ):
        progress.update_row(number, replace(progress.rows[number], status=status, id=row_id, reasons=reasons))
    lines = render_results(progress, manifest, "csv").decode("utf-8-sig").splitlines()
    steps = [row["result_next_step"] for row in csv.DictReader(lines, delimiter=";")]
    assert steps[:2] == ["run the batch again", "`avatars resume p-1` continues it"]
    assert steps[2].startswith("wait: the schedule `provision-pending` submits it once the reason no longer")
    assert steps[3].startswith("wait: the schedule `provision-pending` submits it while")


@pytest.mark.parametrize(
    "error", [ProvisioningErased("p-1"), ReferenceConflict("r-1", "p-1"), ReferenceIsId("r-1", "p-1")], ids=repr
)
def test_next_step_of_an_invalid_row_without_a_correction_is_the_hint(error: AvatarsError) -> None:
    manifest = manifest_of(["Ada"])
    progress = BatchProgress(manifest.rows, started_at=0.0)
    progress.update_row(0, progress.rows[0].with_status(INVALID, [Reason.from_error(error)]))
    lines = render_results(progress, manifest, "csv").decode("utf-8-sig").splitlines()
    [row] = csv.DictReader(lines, delimiter=";")
    assert row["result_next_step"] == error.hint


@pytest.mark.parametrize("form", ["csv", "json"])
def test_results_have_the_warnings_of_a_row(form: ResultsFormat) -> None:
    manifest = manifest_of(["Ada"])
    progress = BatchProgress(manifest.rows, started_at=0.0)
    warned = replace(progress.rows[0], id="id").with_warnings(
        [Reason(code="dataset.no-audio", message="=no audio")]
    )
    progress.update_row(0, warned.with_status(Status.READY, []), finished=True)
    data = render_results(progress, manifest, form).decode()
    if form == "json":
        assert json.loads(data)[0]["warnings"] == [{"code": "dataset.no-audio", "message": "=no audio", "hint": ""}]
    else:
        [row] = csv.DictReader(io.StringIO(data.removeprefix("\ufeff")), delimiter=";")
        assert row["result_warnings"] == "dataset.no-audio: =no audio"


def test_released_row_is_not_to_be_released_again() -> None:
    manifest = manifest_of(["a", "b"])
    progress = BatchProgress(manifest.rows, started_at=0.0)
    for number, row in enumerate(progress.rows):
        refused = replace(row, status=Status.REFUSED, id=f"id-{number}")
        progress.update_row(number, refused, finished=True)
    text = render_results(progress, manifest, "csv", {"id-1"}).decode("utf-8-sig")
    kept, released = [row[RESULT_COLUMNS[-1]] for row in csv.DictReader(io.StringIO(text), delimiter=";")]
    assert "avatars release" in kept
    assert "avatars release" not in released
