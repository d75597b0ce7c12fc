"""Writes workbooks for tests: .xlsx with openpyxl, and the small part of .ods that a list needs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from openpyxl import Workbook
from openpyxl.worksheet.worksheet import Worksheet

SHEET = "xl/worksheets/sheet1.xml"
"""The first sheet in the archive of an .xlsx file."""
ODS_TYPE = "application/vnd.oasis.opendocument.spreadsheet"
MANIFEST = (
    '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
    f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{ODS_TYPE}"/></manifest:manifest>'
)
NAMESPACES = (
    "".join(
        f' xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for prefix, name in (("office", "office"), ("table", "table"), ("text", "text"), ("style", "style"))
    )
    + ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
)


def xlsx(rows: Sequence[Sequence[Any]] = (), change: Callable[[Worksheet], object] = lambda _: None) -> bytes:
    """Return a workbook with these rows on its first sheet, after `change` was applied to it."""
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    for row in rows:
        sheet.append(list(row))
    change(sheet)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def sheet_xml(rows: str, more: str = "") -> bytes:
    """Return the XML of a sheet of .xlsx with these rows, followed by more elements."""
    namespace = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return f'<worksheet xmlns="{namespace}"><sheetData>{rows}</sheetData>{more}</worksheet>'.encode()


def as_text(sheet: Worksheet) -> None:
    """Make every cell a text cell: openpyxl makes a formula of a text that begins with `=`."""
    for row in sheet.iter_rows():
        for cell in row:
            if isinstance(cell.value, str):
                cell.data_type = "s"


def ods_cell(value: object, text: str | None = None, **attributes: str) -> str:
    """Return the XML of a cell; `text` is what the sheet shows, by default the value itself."""
    extra = "".join(
        f" {name.replace('__', ':').replace('_', '-')}={quoteattr(v)}" for name, v in attributes.items()
    )
    if value is None:
        return f"<table:table-cell{extra}/>"
    shown = f"<text:p>{escape(str(value) if text is None else text)}</text:p>"
    if isinstance(value, str):
        return f'<table:table-cell office:value-type="string"{extra}>{shown}</table:table-cell>'
    return f'<table:table-cell office:value-type="float" office:value="{value}"{extra}>{shown}</table:table-cell>'


def ods(rows: Sequence[Sequence[Any]], *, sheets: str = "") -> bytes:
    """Return a workbook with these rows; a cell is a value, or XML that begins with `<table:`."""
    body = "".join(f"<table:table-row>{''.join(map(_as_cell, row))}</table:table-row>" for row in rows)
    table = f'<table:table table:name="list">{body}</table:table>{sheets}'
    return ods_content(f"<office:body><office:spreadsheet>{table}</office:spreadsheet></office:body>")


def ods_content(body: str, **files: str) -> bytes:
    """Return a workbook with this body and further files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", ODS_TYPE, compress_type=zipfile.ZIP_STORED)
        archive.writestr("META-INF/manifest.xml", MANIFEST)
        archive.writestr("content.xml", f"<office:document-content{NAMESPACES}>{body}</office:document-content>")
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def with_files(data: bytes, files: Mapping[str, bytes | Iterable[bytes]]) -> bytes:
    """Return the workbook with further or replaced files in its archive."""
    buffer = io.BytesIO()
    compressed = zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with zipfile.ZipFile(io.BytesIO(data)) as source, compressed as target:
        for name in source.namelist():
            if name not in files:
                target.writestr(source.getinfo(name), source.read(name))
        for name, content in files.items():
            with target.open(name, "w") as file:
                for chunk in [content] if isinstance(content, bytes) else content:
                    file.write(chunk)
    return buffer.getvalue()


def with_claimed_size(data: bytes, name: str, size: int) -> bytes:
    """Return the workbook with another size of a file in the list of its archive."""
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("padding", b"")
        archive.getinfo(name).file_size = size
    return buffer.getvalue()


def _as_cell(value: object) -> str:
    return value if isinstance(value, str) and value.startswith("<table:") else ods_cell(value)
