"""Fuzzes workbooks: mutated bytes of an archive or of one of its parts, and sheets of arbitrary cells."""

from __future__ import annotations

import datetime
import io
import zipfile
from functools import cache
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

from hypothesis import strategies as st

from media.spreadsheets import limits, process
from media.spreadsheets.reader import read_output
from models.manifest.manifest import parse_table
from models.manifest.validation import ManifestRow
from tests.fuzz.manifests import inspect_rows
from tests.fuzz.mutations import Mutation, mutated, mutations
from tests.fuzz.target import CANARY, FuzzTarget, expect_own_errors
from tests.workbooks import SHEET, ods, ods_cell, ods_content, sheet_xml, with_files, xlsx

FORMS = ("xlsx", "ods")
MAX_CELLS = 20_000
"""Instead of millions, which take seconds."""
SHARED_STRINGS = "xl/sharedStrings.xml"
XLSX_PARTS = (
    *(SHEET, SHEET, "xl/workbook.xml", "xl/_rels/workbook.xml.rels", "xl/styles.xml"),
    *(SHARED_STRINGS, "[Content_Types].xml"),
)
ODS_PARTS = ("content.xml", "content.xml", "META-INF/manifest.xml", "mimetype")
TOKENS = [
    *(
        b"<",
        b">",
        b"/>",
        b"&",
        b"&amp;",
        b"&#0;",
        b"&#x10ffff;",
        b"]]>",
        b"<!--",
        b"<![CDATA[",
        b"<?xml",
        b'"',
        b"\0",
    ),
    *(
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
        b"&b;",
        b"\xff",
        b"\xef\xbb\xbf",
        b"</row>",
        b"</c>",
        b"<c>",
        b"<v>",
        b"<f/>",
    ),
    *(
        b' r="A1"',
        b' r="XFD1048576"',
        b' t="s"',
        b' t="e"',
        b' s="99999"',
        b' hidden="1"',
        b"1048576",
        b"-1",
        b"1e308",
    ),
    *(b"<mergeCell ref='A1:XFD9'/>", b"PK\x01\x02", b"PK\x05\x06", b"table:number-rows-repeated='999999999'"),
    *(b"table:number-columns-repeated='16384'", b"office:value-type='error'", b"</table:table-row>", b"<text:p>"),
]
URL = f"https://v.example/a.mp4?X-Amz-Signature={CANARY}"
VALUES = (
    *("", "0", "1", "7", "-1", "99999999999", "1e15", "0.1", "1e308", "1e400", "-1e400", "nan", "9" * 400, "TRUE"),
    *(
        "2026-11-02",
        "2026-11-02T00:00:00",
        "PT99999999H",
        "PT1S",
        "#REF!",
        "Ada",
        "name",
        "dataset_video",
        "reference",
    ),
    *("\u00e9\u0301 ", "_x0000_", URL, f"https://v.example/{'b' * 300}.mp4"),
)


class MutatedArchive(NamedTuple):
    """A workbook with mutated bytes."""

    form: str
    changes: list[Mutation]


class MutatedPart(NamedTuple):
    """A workbook of which one part has mutated bytes."""

    form: str
    part: str
    changes: list[Mutation]


class DrawnSheet(NamedTuple):
    """A workbook with a sheet of this XML."""

    form: str
    xml: str


@cache
def samples() -> dict[str, bytes]:
    """Return a workbook in each format, with cells of every type."""
    header = ["name", "dataset_video", "consent_video", "reference", "extras.day", "Notes"]
    row = ["Ada", URL, "https://v.example/c.mp4", 4711, datetime.date(2026, 11, 2), 0.5]
    other = ["Eve", *row[1:3], "#N/A", True, "=A1"]
    texts = [ods_cell(cell) for cell in (*row[:4], "2026-11-02")]
    merged = ods_cell("Eve", table__number_rows_spanned="2", table__number_columns_spanned="2")
    shared = f"<sst><si><t>Ada</t></si><si><r><t>{URL[:20]}</t></r><r><t>{URL[20:]}</t></r></si></sst>"
    lists = xlsx([header, row, other, []], lambda sheet: sheet.merge_cells("A3:A4"))
    return {
        "xlsx": with_files(lists, {SHARED_STRINGS: shared.encode()}),  # openpyxl writes texts into their cells
        "ods": ods([header, texts, [merged, *texts[1:]]], sheets='<table:table table:name="b"/>'),
    }


def _attributes(**values: str) -> str:
    return "".join(
        f" {name.replace('__', ':').replace('_', '-')}={quoteattr(value)}"
        for name, value in values.items()
        if value
    )


def _xlsx_cell(reference: str, kind: str, style: str, formula: str, value: str) -> str:
    content = f"<is><t>{value.replace('&', '&amp;')}</t></is>" if kind == "inlineStr" else f"<v>{value}</v>"
    return f"<c{_attributes(r=reference, t=kind, s=style)}>{formula}{content if value else ''}</c>"


def _ods_cell(kind: str, value: str, formula: str, repeat: str, span: str) -> str:
    values = {f"office__{name}": value for name in ("value", "date_value", "time_value", "boolean_value")}
    extra = {"table__formula": formula, "table__number_columns_repeated": repeat, "calcext__value_type": kind}
    spans = {"table__number_rows_spanned": span, "table__number_columns_spanned": span}
    attributes = _attributes(office__value_type=kind, **values, **extra, **spans)
    return f"<table:table-cell{attributes}><text:p>{value}</text:p></table:table-cell>"


def _xlsx_sheet(rows: list[tuple[str, str, list[str]]], merged: list[str]) -> DrawnSheet:
    lines = "".join(f"<row{_attributes(r=number, hidden=hidden)}>{''.join(c)}</row>" for number, hidden, c in rows)
    areas = "".join(f"<mergeCell{_attributes(ref=area)}/>" for area in merged)
    return DrawnSheet("xlsx", sheet_xml(lines, f"<mergeCells>{areas}</mergeCells>").decode())


def _ods_sheet(rows: list[tuple[str, str, list[str]]]) -> DrawnSheet:
    lines = "".join(
        f"<table:table-row{_attributes(table__number_rows_repeated=repeat, table__visibility=visibility)}>"
        f"{''.join(cells)}</table:table-row>"
        for repeat, visibility, cells in rows
    )
    return DrawnSheet("ods", f'<table:table table:name="a">{lines}</table:table>')


_REFERENCES = (
    "",
    "",
    "A1",
    "B2",
    "C3",
    "D2",
    "F9",
    "XFD1048576",
    "ZZZ9999999",
    "a1",
    "A0",
    "$C$5",
    "A1:B2",
    "1",
    "A",
)
_NUMBERS = ("", "", "1", "2", "3", "0", "-1", "300", "1048576", "99999999999", "x")
_FORMULAS = ("", "", "<f/>", "<f>A1</f>", '<f>HYPERLINK("x","y")</f>')
_XLSX_CELLS = st.builds(
    _xlsx_cell,
    st.sampled_from(_REFERENCES),
    st.sampled_from(("", "n", "s", "str", "inlineStr", "b", "e", "d", "x")),
    st.sampled_from(("", "", "0", "1", "2", "99", "-1", "99999999999")),
    st.sampled_from(_FORMULAS),
    st.sampled_from(VALUES),
)
_XLSX_HEADER = (
    "",
    "",
    [_xlsx_cell("", "inlineStr", "", "", name) for name in ("name", "dataset_video", "consent_video")],
)
_XLSX_ROWS = st.lists(
    st.just(_XLSX_HEADER)
    | st.tuples(st.sampled_from(_NUMBERS), st.sampled_from(("", "1", "true")), st.lists(_XLSX_CELLS, max_size=6)),
    max_size=6,
)
_AREAS = st.sampled_from(("A1:B2", "A2:A9", "A1", "A1:", "C5:A1", "A1:XFD1048576", "A0:B1", "x", "$A$1:$B$2", ""))
_ODS_CELLS = st.builds(
    _ods_cell,
    st.sampled_from(("", "string", "float", "percentage", "currency", "date", "time", "boolean", "error", "void")),
    st.sampled_from(VALUES),
    st.sampled_from(("", "", "of:=[.A1]")),
    st.sampled_from(_NUMBERS),
    st.sampled_from(_NUMBERS),
)
_ODS_HEADER = (
    "",
    "",
    [_ods_cell("string", name, "", "", "") for name in ("name", "dataset_video", "consent_video")],
)
_ODS_ROWS = st.lists(
    st.just(_ODS_HEADER)
    | st.tuples(
        st.sampled_from(_NUMBERS), st.sampled_from(("", "collapse", "filter")), st.lists(_ODS_CELLS, max_size=6)
    ),
    max_size=6,
)


def _build(case: MutatedArchive | MutatedPart | DrawnSheet) -> bytes:
    data = samples()[case.form]
    if isinstance(case, MutatedArchive):
        return mutated(data, case.changes)
    if isinstance(case, MutatedPart):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return with_files(data, {case.part: mutated(archive.read(case.part), case.changes)})
    if case.form == "xlsx":
        return with_files(data, {SHEET: case.xml.encode()})
    return ods_content(f"<office:body><office:spreadsheet>{case.xml}</office:spreadsheet></office:body>")


def _read(data: bytes) -> list[ManifestRow]:
    """Read a workbook as the child process and its parent do, in this process."""
    try:
        lines = "".join(process.describe_workbook(data, None))
    except BaseException as error:
        # A panic of Rust is a BaseException. It ends the child process; its parent then raises an error of ours.
        if type(error).__name__ == "PanicException":
            return []
        raise
    return parse_table(read_output(io.BytesIO(lines.encode()), None)).rows


def _check(case: MutatedArchive | MutatedPart | DrawnSheet) -> None:
    data = _build(case)
    # Mutated bytes may split a URL, so that its secret is not recognisable.
    secrets = (CANARY,) if isinstance(case, DrawnSheet) else ()
    inspect_rows(expect_own_errors(lambda: _read(data), secrets=secrets), secrets)


def _prepare() -> None:
    limits.MAX_CELLS = limits.MAX_SHEET_ROWS = MAX_CELLS
    for data in samples().values():
        assert _read(data)


TARGET = FuzzTarget(
    "spreadsheets",
    st.builds(MutatedArchive, st.sampled_from(FORMS), mutations(TOKENS))
    | st.builds(MutatedPart, st.just("xlsx"), st.sampled_from(XLSX_PARTS), mutations(TOKENS))
    | st.builds(MutatedPart, st.just("ods"), st.sampled_from(ODS_PARTS), mutations(TOKENS))
    | st.builds(_xlsx_sheet, _XLSX_ROWS, st.lists(_AREAS, max_size=3))
    | st.builds(_ods_sheet, _ODS_ROWS),
    _check,
    _prepare,
)
