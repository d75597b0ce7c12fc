"""Spreadsheets as people have them: each format gives the same requests, and what is lost is an error."""

from __future__ import annotations

import csv
import datetime
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet

from media.manifest_loader import parse_bytes
from media.spreadsheets import limits
from models.errors import InvalidManifest
from models.manifest.columns import parse_column_map
from models.manifest.formats import Location
from models.manifest.manifest import Manifest, ManifestOptions
from models.manifest.validation import ManifestRow
from tests.workbooks import SHEET, ods, ods_cell, ods_content, sheet_xml, with_claimed_size, with_files, xlsx

HEADER = ["Name", "Dataset Video", "Consent video URL", "Reference", "extras.Team", "Notes"]
LIST = [
    [
        f"Müller é {number}",
        f"https://videos.example/{number}/d.mp4",
        f"HTTPS://videos.example/{number}/c.mp4",
        f"{number:05}",
        "berlin; x, y",
        'said "hi"',
    ]
    for number in range(30)
]
D, C = "https://videos.example/d.mp4", "https://videos.example/c.mp4"
XLSX, ODS = Location("list.xlsx"), Location("list.ods")


def requests_of(manifest: Manifest) -> list[tuple[str, str]]:
    assert [row.problems for row in manifest.rows if row.request is None] == []
    return [(row.reference, row.request.fingerprint) for row in manifest.rows if row.request]


def csv_bytes(separator: str, line_end: str, encoding: str) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=separator, lineterminator=line_end)
    writer.writerows([HEADER, *LIST])
    return buffer.getvalue().encode(encoding)


@pytest.fixture(scope="module")
def expected() -> list[tuple[str, str]]:
    return requests_of(parse_bytes(csv_bytes(",", "\n", "utf-8"), Location("list.csv")))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("line_end", ["\r", "\n", "\r\n"], ids=["CR", "LF", "CRLF"])
@pytest.mark.parametrize("separator", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_every_csv_gives_the_same_requests(
    separator: str, line_end: str, encoding: str, expected: list[tuple[str, str]]
) -> None:
    manifest = parse_bytes(csv_bytes(separator, line_end, encoding), Location("list.csv"))
    assert requests_of(manifest) == expected
    assert len({reference for reference, _ in expected}) == 30
    assert any("Windows-1252" in notice for notice in manifest.notices) == (encoding == "cp1252")


def test_workbooks_give_the_requests_of_csv(expected: list[tuple[str, str]]) -> None:
    for manifest in (parse_bytes(xlsx([HEADER, *LIST]), XLSX), parse_bytes(ods([HEADER, *LIST]), ODS)):
        assert requests_of(manifest) == expected
        assert manifest.notices == ["columns that are not read: 'Notes'"]


def one_row(
    reference: object, name: object = "Ada", change: Callable[[Worksheet], object] = lambda _: None
) -> ManifestRow:
    rows: list[list[object]] = [["name", "dataset_video", "consent_video", "reference"], [name, D, C, reference]]
    [row] = parse_bytes(xlsx(rows, change), XLSX).rows
    return row


@pytest.mark.parametrize(
    ("value", "reference"),
    [
        (4711, "4711"),
        (4711.0, "4711"),
        (999_999_999_999_999, "999999999999999"),
        (-5, "-5"),
        (0, "0"),
        ("0012", "0012"),
    ],
)
def test_whole_number_is_its_digits(value: object, reference: str) -> None:
    assert one_row(value).reference == reference
    assert one_row(value).problems == ()


LOST: dict[str, tuple[object, str]] = {
    "long": (4_711_000_000_000_001, "is a number of more than 15 digits"),
    "fraction": (4.5, "is the fraction 4.5"),
    "date": (datetime.date(2026, 11, 2), "is the date 2026-11-02"),
    "time": (datetime.time(3, 4), "is the time 03:04:00"),
    "duration": (datetime.timedelta(hours=30), "is the duration 1 day, 6:00:00"),
    "logical": (True, "is the logical value TRUE"),
    "error": ("#N/A", "is the error #N/A of a formula"),
    "formula": ("=A1", "has a formula whose value is not stored"),
}


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("column", ["reference", "name"])
def test_value_that_is_not_its_text_is_invalid(column: str, kind: str) -> None:
    value, rule = LOST[kind]
    row = one_row(value) if column == "reference" else one_row("r", value)
    assert row.request is None
    [problem] = [reason for reason in row.problems if reason.code == f"row.{column}"]
    cell = "D2" if column == "reference" else "A2"
    assert problem.message.startswith(f"row 2, {column} ({cell}): {rule}")
    assert ": " in problem.message.partition(rule)[2]  # the remedy


@pytest.mark.parametrize(
    ("value", "number_format", "reference"),
    [(4711, "00000000", "00004711"), (4711, "0", "4711"), (4711, "@", "4711"), (4711, "General", "4711")],
)
def test_leading_zeros_of_a_format_are_kept(value: int, number_format: str, reference: str) -> None:
    def change(sheet: Worksheet) -> None:
        sheet["D2"].number_format = number_format

    assert one_row(value, change=change).reference == reference
    cells = [ods_cell("Ada"), ods_cell(D), ods_cell(C), ods_cell(value, reference)]
    [row] = parse_bytes(ods([["name", "dataset_video", "consent_video", "reference"], cells]), ODS).rows
    assert row.reference == reference


@pytest.mark.parametrize(("value", "number_format"), [(5, "0%"), (12, "0.00"), (12, '"€"#,##0'), (4711, "#,##0")])
def test_reference_shown_in_another_form_is_invalid(value: int, number_format: str) -> None:
    def change(sheet: Worksheet) -> None:
        sheet["D2"].number_format = number_format

    assert "its format shows in another way" in one_row(value, change=change).problems[0].message


def test_value_of_another_column_may_be_a_number() -> None:
    header = ["name", "dataset_video", "consent_video", "extras.age", "extras.day"]
    [row] = parse_bytes(xlsx([header, ["Ada", D, C, 4.5, datetime.date(2026, 11, 2)]]), XLSX).rows
    assert row.request is not None
    assert row.request.extras == {"age": "4.5", "day": "2026-11-02"}


def test_merged_cells_name_the_cell_with_the_value() -> None:
    header = ["name", "dataset_video", "consent_video"]
    data = xlsx([header, ["Ada", D, C], [None, D, C]], lambda sheet: sheet.merge_cells("A2:A3"))
    _, below = parse_bytes(data, XLSX).rows
    assert "row 3, name (A3): is covered by the merged cell A2: unmerge it" in below.problems[0].message
    merged = ods_cell("Ada", table__number_rows_spanned="2", table__number_columns_spanned="1")
    rows = [header, [merged, D, C], ["<table:covered-table-cell/>", D, C]]
    _, below = parse_bytes(ods(rows), ODS).rows
    assert "is covered by the merged cell A2" in below.problems[0].message


def test_header_of_two_lines_is_read() -> None:
    def change(sheet: Worksheet) -> None:
        sheet.merge_cells("A1:A2")
        sheet.merge_cells("B1:C1")

    rows: list[list[str | None]] = [
        ["Name", "Videos", None, "Reference"],
        [None, "Dataset", "Consent"],
        ["Ada", D, C, "r1"],
    ]
    [row] = parse_bytes(xlsx(rows, change), XLSX).rows
    assert (row.name, row.reference, row.problems) == ("Ada", "r1", ())


def test_hidden_rows_are_read_and_reported() -> None:
    def change(sheet: Worksheet) -> None:
        sheet.row_dimensions[3].hidden = True

    manifest = parse_bytes(xlsx([HEADER, *LIST], change), XLSX)
    assert len(manifest.rows) == 30
    assert "hidden rows are read like the others: 3" in manifest.notices


def test_sheet_is_chosen_by_name() -> None:
    def change(sheet: Worksheet) -> None:
        assert sheet.parent is not None
        other = sheet.parent.create_sheet("Second List")
        other.append(["name", "dataset_video", "consent_video"])
        other.append(["Eve", D, C])

    data = xlsx([HEADER, *LIST], change)
    assert "the workbook has 2 sheets" in parse_bytes(data, XLSX).notices[0]
    for name in ("Second List", "second  list"):
        manifest = parse_bytes(data, Location("list.xlsx", name))
        assert [row.name for row in manifest.rows] == ["Eve"]
    with pytest.raises(InvalidManifest, match=r"it has no sheet 'Third'$"):
        parse_bytes(data, Location("list.xlsx", "Third"))
    with pytest.raises(InvalidManifest, match=r"no sheet 'Second Lits' \(did you mean 'Second List'\?\)"):
        parse_bytes(data, Location("list.xlsx", "Second Lits"))


def test_hidden_first_sheet_is_not_the_list() -> None:
    def change(sheet: Worksheet) -> None:
        assert sheet.parent is not None
        sheet.sheet_state = "hidden"
        other = sheet.parent.create_sheet("List")
        for row in [HEADER, *LIST]:
            other.append(row)

    assert len(parse_bytes(xlsx([["x"]], change), XLSX).rows) == 30


def far_cell(sheet: Worksheet) -> None:
    sheet["XFD1048576"] = "x"


def many_entries(data: bytes) -> bytes:
    return with_files(data, {f"xl/media/{number}.png": b"" for number in range(limits.MAX_ENTRIES)})


GOOD = xlsx([HEADER, *LIST[:2]])
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "macros": (lambda: with_files(GOOD, {"xl/vbaProject.bin": b"x"}), "it contains macros"),
    "macro sheet": (lambda: with_files(GOOD, {"xl/macrosheets/sheet1.xml": b"x"}), "it contains macros"),
    "external links": (
        lambda: with_files(GOOD, {"xl/externalLinks/externalLink1.xml": b"x"}),
        "links to other workbooks",
    ),
    "binary": (lambda: with_files(GOOD, {"xl/workbook.bin": b"x"}), "binary workbook"),
    "document": (lambda: with_files(ods_content(""), {"content.xml": b"<a/>"}), "no sheet with cells"),
    "not a workbook": (
        lambda: with_files(b"PK\x05\x06" + bytes(18), {"word/document.xml": b"x"}),
        "not a workbook",
    ),
    "cut": (lambda: GOOD[:-200], "damaged"),
    "bad XML": (lambda: with_files(GOOD, {SHEET: b"<worksheet><row></worksheet>"}), "damaged"),
    "rows out of order": (lambda: with_files(GOOD, {SHEET: sheet_xml('<row r="2"/><row r="1"/>')}), "damaged"),
    "row 0": (lambda: with_files(GOOD, {SHEET: sheet_xml('<row r="0"><c r="A0"/></row>')}), "damaged"),
    "cell of another row": (
        lambda: with_files(GOOD, {SHEET: sheet_xml('<row r="2"><c r="A5"/></row>')}),
        "damaged",
    ),
    "entities": (lambda: with_files(GOOD, {SHEET: b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"}), "damaged"),
    "far cell": (lambda: xlsx([HEADER, *LIST], far_cell), "row 1,048,576 and column XFD"),
    "many files": (lambda: many_entries(GOOD), "at most 400 MiB in 10,000 files"),
    "bomb": (lambda: with_claimed_size(GOOD, SHEET, 1 << 31), "expands to"),
    "macros of ods": (lambda: ods_content("", **{"Basic/script-lc.xml": "x"}), "it contains macros"),
    "links of ods": (
        lambda: ods([["a"]], sheets="<table:table><table:table-source/></table:table>"),
        "linked to other",
    ),
    "encrypted ods": (
        lambda: with_files(ods([["a"]]), {"META-INF/manifest.xml": b"<manifest:encryption-data/>"}),
        "encrypted with a password",
    ),
    "old": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old format .xls"),
    "encrypted": (
        lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
        "encrypted with a password",
    ),
    "text": (lambda: b"name,dataset_video\n", "is not a spreadsheet"),
    "empty": (lambda: b"", "is not a spreadsheet"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_workbook_that_cannot_be_read_is_one_clear_error(kind: str) -> None:
    make, message = REFUSED[kind]
    with pytest.raises(InvalidManifest, match=message) as caught:
        parse_bytes(make(), ODS if "ods" in kind else XLSX)
    assert caught.value.hint
    assert len(f"{caught.value}{caught.value.hint}") < 500


def test_archive_that_lies_about_its_size_is_refused() -> None:
    """The child process is out of memory, and no other process is."""
    strings = (b"<sst><si><t>", *[b"a" * limits.MIB] * (limits.MAX_MEMORY_BYTES // limits.MIB), b"</t></si></sst>")
    data = with_claimed_size(with_files(GOOD, {"xl/sharedStrings.xml": strings}), "xl/sharedStrings.xml", 1000)
    assert len(data) < 10 * limits.MIB
    with pytest.raises(InvalidManifest, match=r"damaged|too much memory"):
        parse_bytes(data, XLSX)


def test_repeated_cells_of_ods_are_bounded() -> None:
    repeated = (
        '<table:table-row table:number-rows-repeated="1000000000"><table:table-cell office:value-type="error"'
    )
    cell = f'{repeated} table:number-columns-repeated="1000000"><text:p>x</text:p></table:table-cell>'
    body = f"{cell}</table:table-row>"
    table = f'<table:table table:name="a">{body}</table:table>'
    with pytest.raises(InvalidManifest, match="its cells reach to row"):
        parse_bytes(
            ods_content(f"<office:body><office:spreadsheet>{table}</office:spreadsheet></office:body>"), ODS
        )


def test_large_header_is_a_bounded_error() -> None:
    for data, location in (
        (xlsx([["x" * 1000] * 2000, *LIST]), XLSX),
        (xlsx([["name", "dataset_video", "consent_video", "y" * 30_000]]), XLSX),
        (("z" * 2_000_000 + ",name\n").encode(), Location("a.csv")),
        (("name,dataset_video,consent_video," + "note," * 400_000).encode() + b"\n", Location("a.csv")),
    ):
        with pytest.raises(InvalidManifest) as caught:
            parse_bytes(data, location)
        assert len(f"{caught.value}{caught.value.hint}") < 1000


def test_column_map_and_strict_apply_to_workbooks() -> None:
    header = ["Person in charge", "Video link", "Consent", "Column 4"]
    data = xlsx([header, ["Ada", D, C, "x"]])
    mapped = parse_column_map(["person-in charge=name", "VIDEO LINK = dataset_video"])
    manifest = parse_bytes(data, XLSX, ManifestOptions(column_map=mapped))
    assert [row.name for row in manifest.rows] == ["Ada"]
    assert manifest.rows[0].request is not None
    with pytest.raises(InvalidManifest, match="not a column of a manifest: 'Column 4'"):
        parse_bytes(data, XLSX, ManifestOptions(column_map=mapped, strict=True))


def test_cells_of_a_foreign_workbook_are_not_quoted() -> None:
    with pytest.raises(InvalidManifest) as caught:
        parse_bytes(xlsx([["user", "canary-password"], ["ada", "canary-secret"]]), XLSX)
    assert "canary" not in f"{caught.value}{caught.value.hint}"


MEASURE = """
import json, re, resource, sys
from pathlib import Path
from media.spreadsheets.reader import read_spreadsheet
from models.manifest.manifest import parse_table

def own_peak():
    # Not ru_maxrss: it begins with what the parent process occupied when it started this one.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

data = Path(sys.argv[1]).read_bytes()
table = read_spreadsheet(data)  # the child process has ended
own_until_then, of_child = own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
manifest = parse_table(table)
assert all(row.request for row in manifest.rows)
print(json.dumps([len(manifest.rows), own_until_then, of_child, own_peak()]))
"""


@pytest.mark.system
@pytest.mark.timeout(600)
def test_list_of_100_000_rows_is_read_in_300_mb(tmp_path: Path) -> None:
    """The peak of both processes together: the child process ends before the first row becomes a request."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("list")
    sheet.append(HEADER)
    for number in range(100_000):
        video = f"https://videos.example/agency/{number}"
        sheet.append(
            [f"Creator {number}", f"{video}/d.mp4", f"{video}/c.mp4", f"creator-{number}", "berlin", "note"]
        )
    book.save(tmp_path / "list.xlsx")
    read = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "list.xlsx")], capture_output=True, text=True, check=True
    )
    count, own_until_then, of_child, own = json.loads(read.stdout)
    assert count == 100_000
    assert max(own_until_then + of_child, own) < 300_000_000
