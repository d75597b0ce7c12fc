"""Spreadsheets as agencies have them: each is read as its author sees it, or the error says what to do."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any
from xml.sax.saxutils import escape

import pytest
from openpyxl.cell.rich_text import CellRichText, TextBlock
from openpyxl.cell.text import InlineFont
from openpyxl.comments import Comment
from openpyxl.worksheet.worksheet import Worksheet

from media.manifest_loader import parse_bytes
from models.errors import InvalidManifest
from models.manifest.formats import Location
from models.manifest.manifest import Manifest
from tests.workbooks import SHEET, ods, ods_cell, ods_content, sheet_xml, with_files, xlsx

Change = Callable[[Worksheet], object]
HEADER = ["name", "dataset_video", "consent_video", "reference"]


def links(name: str) -> list[str]:
    return [f"https://videos.example/{name.lower()}/{role}.mp4" for role in ("dataset", "consent")]


ADA, EVE = ["Ada", *links("Ada"), "a-1"], ["Eve", *links("Eve"), "e-2"]


def read(data: bytes) -> Manifest:
    return parse_bytes(data, Location("list.xlsx"))


def sheet_of(*rows: str) -> bytes:
    """Return a workbook of cells in XML: openpyxl stores no values of formulas."""
    return with_files(xlsx(), {SHEET: sheet_xml("".join(f"<row>{row}</row>" for row in rows))})


def texts(*cells: str) -> str:
    return "".join(f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' for cell in cells)


def formula(text: str, value: str) -> str:
    return f'<c t="str"><f>{escape(text)}</f><v>{escape(value)}</v></c>'


def styled(sheet: Worksheet) -> None:
    """Format cells far below and beside the list, as a template of an agency does."""
    for row in range(4, 1000):
        sheet.cell(row, 1).number_format = "@"
    sheet["Z1"].number_format = "0.00"
    sheet.protection.sheet = True
    sheet.protection.password = "secret"
    sheet["A2"].comment = Comment("call her first", "Ann")
    sheet["B2"].hyperlink = sheet["B2"].value
    sheet["D2"].quotePrefix = True


def filtered(sheet: Worksheet) -> None:
    sheet.auto_filter.ref = "A1:D3"
    sheet.row_dimensions[3].hidden = True


def grouped(sheet: Worksheet) -> None:
    """Fold columns away, among them many without a value."""
    sheet.column_dimensions["B"].hidden = True
    sheet.column_dimensions.group("D", "H", hidden=True)


def title(sheet: Worksheet) -> None:
    sheet.merge_cells("A1:D1")


def sections(sheet: Worksheet) -> None:
    sheet.merge_cells("A2:D2")
    sheet.merge_cells("A4:D4")


def with_margin(sheet: Worksheet) -> None:
    """Begin the list in C5, with references that only their format shows completely."""
    rows: list[list[Any]] = [HEADER, ["Ada", *links("Ada"), 12], ["Eve", *links("Eve"), 7]]
    for row, cells in enumerate(rows, 5):
        for column, cell in enumerate(cells, 3):
            sheet.cell(row, column, cell)
        sheet.cell(row, 6).number_format = "00000"


CRM = ["Record ID", "Full Name", "E-mail", "Training Video URL", "Consent Video", "External ID", "Create Date"]
READ: dict[str, tuple[bytes, Sequence[str], str]] = {
    "export of a CRM": (
        xlsx(
            [
                CRM,
                [1001, "Ada", "ada@example.com", *links("Ada"), "a-1", datetime.date(2026, 5, 1)],
                [1002, "Eve", None, *links("Eve"), "e-2", None],
            ]
        ),
        ("a-1", "e-2"),
        "columns that are not read: 'Record ID', 'E-mail', 'Create Date'",
    ),
    "titles above the header": (
        xlsx([["Creators of May"], [], ["Exported", datetime.date(2026, 5, 1)], HEADER, ADA, EVE], title),
        ("a-1", "e-2"),
        "the header line is row 4; the text above it was skipped",
    ),
    "list that begins in C5": (xlsx([], with_margin), ("00012", "00007"), ""),
    "blank rows inside, totals at the end": (
        xlsx([HEADER, ADA, [], [None, " "], EVE, [], ["Total: 2", "2 videos", None, None]]),
        ("a-1", "e-2"),
        "row 7 with totals instead of recordings was skipped",
    ),
    "template with formats, comments and protection": (xlsx([HEADER, ADA, EVE], styled), ("a-1", "e-2"), ""),
    "filter": (xlsx([HEADER, ADA, EVE], filtered), ("a-1", "e-2"), "hidden rows are read like the others: 3"),
    "folded columns": (
        xlsx([HEADER, ADA, EVE], grouped),
        ("a-1", "e-2"),
        "hidden columns are read like the others: B, D",
    ),
    "groups of a board": (
        xlsx(
            [
                *(["Creators"], ["All of 2026"], [], ["May"], [*HEADER, "Item ID (auto generated)"], [*ADA, 1], []),
                *([None, None, None, None, 1], ["June"], [], [*HEADER, "Item ID (auto generated)"], [*EVE, 2]),
            ]
        ),
        ("a-1", "e-2"),
        "row 9 with a title instead of an avatar was skipped",
    ),
    "table with its row of totals": (
        xlsx([HEADER, ADA, EVE, ["Ergebnis", None, None, 2]]),
        ("a-1", "e-2"),
        "row 4 with totals instead of recordings was skipped",
    ),
    "header in row 30": (
        xlsx([*([f"Note {number}"] for number in range(29)), HEADER, ADA, EVE]),
        ("a-1", "e-2"),
        "the header line is row 30",
    ),
    "emoji in headers": (
        xlsx([["👤 Name", "🎬 Dataset video", "Consent video ✅", "# Reference", "💬"], ADA, EVE]),
        ("a-1", "e-2"),
        "columns that are not read: '💬'",
    ),
    "remarks in headers": (
        xlsx(
            [["Name (required)", "Dataset video\n(1 to 5 min)", "Consent [max. 30 s]:", "Ref. (yours)"], ADA, EVE]
        ),
        ("a-1", "e-2"),
        "",
    ),
    "German": (
        xlsx(
            [
                ["Vollständiger Name", "Name", "Trainingsvideo", "Einwilligung (Link)", "Referenz"],
                ["", *ADA],
                ["", *EVE],
            ]
        ),
        ("a-1", "e-2"),
        "'Vollständiger Name'",
    ),
    "French": (
        xlsx([["Nom", "Vidéo d’entraînement", "Vidéo de consentement", "Référence", "Prénom"], ADA, EVE]),
        ("a-1", "e-2"),
        "'Prénom' (a part of a name: write the whole name into one column)",
    ),
    "Spanish": (
        xlsx([["Nombre completo", "Vídeo de entrenamiento", "Video de consentimiento", "Referencia"], ADA, EVE]),
        ("a-1", "e-2"),
        "",
    ),
    "German with a link": (
        xlsx([["Vor- und Nachname", "Trainingsvideo-Link", "Einwilligungsvideo (Link)", "Referenz"], ADA, EVE]),
        ("a-1", "e-2"),
        "",
    ),
    "Portuguese": (
        xlsx([["Nome completo", "Vídeo de treinamento", "Vídeo de consentimento", "Referência"], ADA, EVE]),
        ("a-1", "e-2"),
        "",
    ),
    "Italian": (
        xlsx([["Nome e cognome", "Video di addestramento", "Video di consenso", "Riferimento"], ADA, EVE]),
        ("a-1", "e-2"),
        "",
    ),
    "right to left, rich text and line breaks": (
        xlsx(
            [
                ["Full\nname", *HEADER[1:]],
                [CellRichText("A", TextBlock(InlineFont(b=True), "da")), *ADA[1:]],
                ["\u200fEve\u200f", f"\n{EVE[1]}\n", EVE[2], "\u202be-2\u202c"],
            ]
        ),
        ("a-1", "e-2"),
        "removed around the text of cells A3, B3, D3",
    ),
    "checkboxes down to the end": (
        xlsx(
            [[*HEADER, "Done"], [*ADA, True], [*EVE, False], *([None, None, None, None, False] for _ in range(50))]
        ),
        ("a-1", "e-2"),
        "rows 4, 5, 6, 7, 8 and 45 more with neither a name, a recording nor a reference were skipped",
    ),
    "titles of sections": (
        xlsx([HEADER, ["Team Berlin"], ADA, ["Team Paris"], EVE], sections),
        ("a-1", "e-2"),
        "rows 2, 4 with a title instead of an avatar were skipped",
    ),
    "notes beside the list": (
        xlsx([[*HEADER[:3], None, HEADER[3]], [*ADA[:3], "call her", "a-1"], [*EVE[:3], None, "e-2", None, "ok"]]),
        ("a-1", "e-2"),
        "columns that are not read: D (without a header), G (without a header)",
    ),
    "telephone numbers": (
        xlsx([HEADER, [*ADA[:3], "+49 170 1234567"], [*EVE[:3], 491701234568]]),
        ("+49 170 1234567", "491701234568"),
        "",
    ),
    "formulas with stored values": (
        sheet_of(
            texts(*HEADER),
            texts(*ADA[:2]) + formula(f'HYPERLINK("{ADA[2]}")', ADA[2]) + formula('"a-"&1', "a-1"),
        ),
        ("a-1",),
        "",
    ),
}


@pytest.mark.parametrize("kind", READ)
def test_list_is_read_as_its_author_sees_it(kind: str) -> None:
    data, references, notice = READ[kind]
    manifest = read(data)
    assert [row.problems for row in manifest.rows if row.request is None] == []
    assert [(row.name, row.reference) for row in manifest.rows] == list(
        zip(("Ada", "Eve"), references, strict=False)
    )
    assert notice in "\n".join(manifest.notices)


def other_sheets(*titles: str) -> Change:
    """Return a change that puts sheets without a list before the first one."""

    def change(sheet: Worksheet) -> None:
        assert sheet.parent is not None
        for index, name in enumerate(titles):
            sheet.parent.create_sheet(name, index)["A1"] = "Please read"

    return change


EXPLAINED: dict[str, tuple[bytes, str]] = {
    "instructions on the first sheet": (
        xlsx([HEADER, ADA], other_sheets("READ ME")),
        "the workbook has 2 sheets; the first one was read: name another as FILE.xlsx#SHEET",
    ),
    "summary of Numbers": (
        xlsx([["Table 1"], HEADER, ADA], other_sheets("Export Summary")),
        "name another as FILE.xlsx#SHEET",
    ),
    "name in two columns": (
        xlsx([["First name", "Last name", *HEADER[1:]], ["Ada", "Lovelace", *ADA[1:]]]),
        "the column 'name' is missing; not a column of a manifest: "
        "'First name' (a part of a name: write the whole name into one column), 'Last name' (a part of",
    ),
    "two lists side by side": (
        xlsx([[*HEADER, None, *HEADER], [*ADA, None, *EVE]]),
        "the column name is repeated: 'name' (A), 'name' (F) mean the same: keep one, "
        "and put a second list into a file or a sheet of its own",
    ),
    "fields as rows": (
        xlsx([["name", "Ada", "Eve"], *([role, f"https://videos.example/{role}.mp4"] for role in HEADER[1:3])]),
        "begin with a header line: name,dataset_video,consent_video",
    ),
    "columns as rows": (
        xlsx([["Dataset video", *links("Ada")[:1]], ["Consent video", *links("Ada")[1:]], ["Name", "Ada"]]),
        "transpose the list, so that each avatar is a row",
    ),
    "header below many notes": (
        xlsx([*([f"Note {number}"] for number in range(60)), HEADER, ADA]),
        "the header line is looked for in the first 50 rows with text",
    ),
    "answers of a form": (
        xlsx(
            [
                [
                    "Timestamp",
                    "What is your full name (as it should appear on your avatar)?",
                    "Please upload your training video (1-5 minutes, MP4)",
                    "Please upload your consent video",
                ],
                [datetime.date(2026, 5, 1), *ADA[:3]],
            ]
        ),
        "the column 'name' is missing (did you mean 'What is your full name (as it should appear on your avatar)?",
    ),
    "no list": (xlsx([]), "the manifest has no rows"),
}


@pytest.mark.parametrize("kind", EXPLAINED)
def test_file_without_one_list_is_explained(kind: str) -> None:
    data, explanation = EXPLAINED[kind]
    with pytest.raises(InvalidManifest) as caught:
        read(data)
    assert explanation in f"{caught.value.message}; {caught.value.hint}"


def merged(area: str) -> Change:
    return lambda sheet: sheet.merge_cells(area)


def format_of(cell: str, code: str) -> Change:
    def change(sheet: Worksheet) -> None:
        sheet[cell].number_format = code

    return change


def list_with(column: int, value: object, change: Change = lambda _: None) -> bytes:
    row: list[Any] = [*EVE]
    row[column] = value
    return xlsx([HEADER, ADA, row], change)


INVALID: dict[str, tuple[bytes, str]] = {
    "merged consent": (
        xlsx([HEADER, ADA, [*EVE[:2], None, "e-2"]], merged("C2:C3")),
        "consent_video (C3): is covered by the merged cell C2: unmerge it, and fill in each row",
    ),
    "word with a link behind it": (
        list_with(1, "Video"),
        "no other text, and not a word with a link behind it",
    ),
    "formula of a link": (
        sheet_of(texts(*HEADER), texts(*ADA), texts("Eve") + formula('HYPERLINK("x","Video")', "Video")),
        "no other text, and not a word with a link behind it",
    ),
    "date as a name": (
        list_with(0, datetime.date(2026, 3, 1)),
        "name (A3): is the date 2026-03-01: format the column as text",
    ),
    "number that lost its digits": (list_with(3, 1e15), "reference (D3): is a number of more than 15 digits"),
    "text of such a number": (
        list_with(3, "1.0E+15"),
        "is a number in scientific notation, so its digits are lost",
    ),
    "telephone number by its format": (
        list_with(3, 4917012345, format_of("D3", "[<=9999999]###-####;(###) ###-####")),
        "is the number 4917012345, which its format shows in another way: format the column as text",
    ),
    "reference filled down": (list_with(3, "a-1"), "is also the reference of row 2"),
    "error filled down": (list_with(2, "#REF!"), "is the error #REF! of a formula: correct the formula"),
    "two names in a cell": (list_with(0, "Eve\nAda"), "must not contain U+000A LINE FEED"),
    "attachment with its file name": (
        list_with(1, f"eve.mp4 ({EVE[1]})"),
        "no other text, and not a word with a link behind it",
    ),
    "link without https": (list_with(1, "www.videos.example/eve.mp4"), "must begin with https://"),
    "two links in a cell": (list_with(1, f"{EVE[1]} {ADA[1]}"), "must not contain a space"),
    "name that is merged down": (
        xlsx([HEADER, ADA, ["Eve"]], merged("B2:C3")),
        "dataset_video (B3): is covered by the merged cell B2",
    ),
    "name without videos": (xlsx([HEADER, ADA, ["Eve"]]), "dataset_video (B3): must not be empty"),
    "another list below": (
        xlsx([HEADER, ADA, [], ["name", "consent_video", "dataset_video"], EVE[:3]]),
        "is below another header line, in row 4: put each table in a file or a sheet of its own",
    ),
    "last row of formulas alone": (
        xlsx([HEADER, ADA, ["=A2", "=B2", "=C2", "=D2"]]),
        "has a formula whose value is not stored: open the file in a spreadsheet program and save it",
    ),
}


@pytest.mark.parametrize("kind", INVALID)
def test_row_with_a_mistake_is_explained(kind: str) -> None:
    data, explanation = INVALID[kind]
    *_, row = read(data).rows
    assert row.request is None
    assert explanation in " ".join(f"{reason.message}; {reason.hint}" for reason in row.problems)


def test_margin_of_a_sheet_keeps_the_facts_of_its_cells() -> None:
    """python-calamine leaves out the columns before the first value."""
    rows: list[list[Any]] = [
        [None, None, *HEADER],
        [None, None, "Ada", *links("Ada"), "#N/A"],
        [None, None, "Eve", *links("Eve"), 0.5],
    ]
    for data in (xlsx(rows), ods(rows)):
        messages = [reason.message for row in read(data).rows for reason in row.problems]
        assert len(messages) == 2
        assert all(f"reference (F{number}): is " in text for number, text in enumerate(messages, 2))


def test_hidden_columns_of_ods_are_named() -> None:
    column = '<table:table-column table:number-columns-repeated="2"{}/>'
    columns = column.format("") + column.format(' table:visibility="collapse"') + column.format("")
    rows = "".join(
        f"<table:table-row>{''.join(map(ods_cell, row))}</table:table-row>" for row in (HEADER, ADA, EVE)
    )
    sheet = f'<table:table table:name="list">{columns}{rows}</table:table>'
    manifest = read(ods_content(f"<office:body><office:spreadsheet>{sheet}</office:spreadsheet></office:body>"))
    assert [row.reference for row in manifest.rows] == ["a-1", "e-2"]
    assert manifest.notices == ["hidden columns are read like the others: C, D"]
