"""Inspects the archive of a workbook before anything in it is parsed: its kind, its size, and what is refused."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib

from media.spreadsheets.limits import MAX_ENTRIES, MAX_EXPANDED_BYTES, MAX_PART_BYTES, MIB
from media.spreadsheets.refusal import SpreadsheetRefused

UNREADABLE = (KeyError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, lzma.LZMAError)
"""What zipfile raises for a missing, damaged or unsupported file of an archive."""
_ARCHIVE_START = b"PK"
_ODS_MANIFEST = "META-INF/manifest.xml"
_MACRO_FOLDERS = ("Basic/", "Scripts/", "xl/macrosheets/")
"""Folders of macros: those of OpenDocument, and the macro sheets of Excel 4, which Excel still runs."""


def open_archive(data: bytes) -> zipfile.ZipFile:
    """Open the archive of a workbook that can be read.

    Raises:
        SpreadsheetRefused: It is damaged, too large or encrypted, has macros or links, or is not a workbook.
    """
    if not data.startswith(_ARCHIVE_START):
        raise SpreadsheetRefused("it is not a workbook", "omit the format, or save the list as .xlsx, .ods or CSV")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError):
        raise damaged_error() from None
    entries = archive.infolist()
    names = {entry.filename for entry in entries}
    expanded = sum(entry.file_size for entry in entries)
    if expanded > MAX_EXPANDED_BYTES or len(entries) > MAX_ENTRIES:
        raise SpreadsheetRefused(
            f"it expands to {expanded // MIB:,} MiB in {len(entries):,} files; "
            f"at most {MAX_EXPANDED_BYTES // MIB} MiB in {MAX_ENTRIES:,} files are read",
            "save the list alone, without pictures and other sheets, or as CSV",
        )
    if any(entry.flag_bits & 1 for entry in entries):
        raise SpreadsheetRefused("it is encrypted with a password", "save it without a password")
    if any(name.lower().endswith("vbaproject.bin") or name.startswith(_MACRO_FOLDERS) for name in names):
        raise SpreadsheetRefused("it contains macros", "save it without macros, as .xlsx, .ods or CSV")
    if any(name.startswith("xl/externalLinks/") for name in names):
        raise SpreadsheetRefused(
            "it has links to other workbooks, whose values may be out of date",
            "break the links (in Excel: Data, Edit Links), or paste the list as values into a new workbook",
        )
    if "xl/workbook.bin" in names:
        raise SpreadsheetRefused("it is a binary workbook (.xlsb)", "save it as .xlsx or CSV")
    if "xl/workbook.xml" not in names and "content.xml" not in names:
        raise SpreadsheetRefused("it is not a workbook", "save the list as .xlsx, .ods or CSV")
    if _ODS_MANIFEST in names and b"encryption-data" in read_entry(archive, _ODS_MANIFEST):
        raise SpreadsheetRefused("it is encrypted with a password", "save it without a password")
    return archive


def read_entry(archive: zipfile.ZipFile, name: str, max_bytes: int = MAX_PART_BYTES) -> bytes:
    """Return the content of a small part of the workbook, for example the list of its sheets.

    Raises:
        SpreadsheetRefused: It is missing, too large or damaged.
    """
    try:
        with archive.open(name) as part:
            data = part.read(max_bytes + 1)
    except UNREADABLE:
        raise damaged_error() from None
    if len(data) > max_bytes:
        raise SpreadsheetRefused(
            f"its part {name} has more than {max_bytes // MIB} MiB", "copy the list into a new workbook"
        )
    return data


def damaged_error() -> SpreadsheetRefused:
    """Return the error for a workbook of which a part cannot be read."""
    return SpreadsheetRefused("it is damaged or incomplete", "open it, save it again, or send it again")


def is_ods(archive: zipfile.ZipFile) -> bool:
    """Return whether the workbook is an OpenDocument spreadsheet."""
    return "xl/workbook.xml" not in archive.NameToInfo
