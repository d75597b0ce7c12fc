"""Tells the format of a manifest: by `--format`, its name, the content type of a URL, or its first bytes."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Literal, NamedTuple

from models.errors import InvalidManifest
from models.text.url_redaction import redact_url

FormatName = Literal["csv", "jsonl", "yaml", "xlsx", "ods"]
SHEET_FORMATS = ("xlsx", "ods")
_SAVE_HINT = "open it in its own program, and save or export the list as .xlsx or CSV"
_SUFFIXES: Mapping[str, FormatName] = {
    **dict.fromkeys(("csv", "tsv", "tab", "txt"), "csv"),
    **dict.fromkeys(("jsonl", "ndjson"), "jsonl"),
    **dict.fromkeys(("yaml", "yml"), "yaml"),
    **dict.fromkeys(("xlsx", "xlsm", "xltx"), "xlsx"),
    **dict.fromkeys(("ods", "ots"), "ods"),
}
_CONTENT_TYPES: Mapping[str, FormatName] = {
    **dict.fromkeys(("text/csv", "text/tab-separated-values", "application/csv"), "csv"),
    **dict.fromkeys(("application/jsonl", "application/x-ndjson", "application/jsonlines"), "jsonl"),
    **dict.fromkeys(("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"), "yaml"),
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
}
_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
"""The name of the stream in which Office stores an encrypted workbook ([MS-OFFCRYPTO] 2.3.4.4)."""
_ODS_MIMETYPE = b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet"
_ODS_MIMETYPE_OFFSET = 30
"""ODF 1.2 part 3, 3.3: the name and content of the first entry of a package follow its header of 30 bytes."""
_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,99}<(?:!doctype html|html|head)", re.IGNORECASE)
_OTHER_SUFFIXES = ("xlsb", "numbers", "fods", "pdf", "doc", "docx", "json", "html", "xml", "zip", "mp4", "mov")
"""Suffixes of files that are certainly not manifests, so that they are not downloaded."""
_OTHER_STARTS = {
    b"%PDF-": "a PDF document",
    b"{\\rtf": "an RTF document",
    **dict.fromkeys((b"<?xml", BOM_UTF8 + b"<?xml"), "XML, for example of Excel 2003 or an error of its host"),
}
"""The first bytes of other files that people take for a list, by what they are."""
_START_BYTES = 1000
_SHEET = re.compile(r"\.(?:xlsx|xlsm|xltx|ods|ots)#", re.IGNORECASE)


class Location(NamedTuple):
    """Where a manifest is: a path or URL, and the name of the sheet; None for the first one."""

    path_or_url: str
    sheet: str | None = None


def split_location(text: str) -> Location:
    """Split `FILE.xlsx#Sheet`; any other path or URL is returned as it is."""
    if (match := _SHEET.search(text)) is None or match.end() == len(text):
        return Location(text)
    return Location(text[: match.end() - 1], text[match.end() :])


def format_of_name(name: str) -> FormatName | None:
    """Return the format that a file name or the path of a URL tells, None if it tells none.

    Raises:
        InvalidManifest: It tells a format that is not read.
    """
    file_name = name.rpartition("/")[2]
    suffix = file_name.rpartition(".")[2].lower() if "." in file_name else ""
    if suffix in _OTHER_SUFFIXES:
        raise InvalidManifest(
            f"the manifest {redact_url(name)!r} is .{suffix}, which is not read",
            hint=f"{_SAVE_HINT}; if only its name is wrong, pass the format",
        )
    return _SUFFIXES.get(suffix)


def detect_format(name: str, data: bytes, content_type: str = "") -> FormatName:
    """Return the format of a manifest: by its first bytes if they are unmistakable, its name, or its content type.

    Args:
        name: The file name or the path of the URL.
        data: The content.
        content_type: The Content-Type of the response, empty for a file.

    Raises:
        InvalidManifest: The format is one that is not read, or contradicts the name.
    """
    refuse_foreign_format(data)
    if data.startswith(_ZIP):
        return "ods" if data.startswith(_ODS_MIMETYPE, _ODS_MIMETYPE_OFFSET) else "xlsx"
    named = format_of_name(name) or _CONTENT_TYPES.get(content_type.partition(";")[0].strip().lower())
    if named in SHEET_FORMATS:
        raise InvalidManifest(
            f"the manifest {redact_url(name)!r} is not a spreadsheet, although its name or content type says so",
            hint="save it again as .xlsx, .ods or CSV; pass csv as its format if it is CSV",
        )
    return text_format(data) if named is None else named


def text_format(data: bytes) -> FormatName:
    """Return the format of a text that nothing else tells: CSV unless it begins as one of the others does."""
    start = data[:_START_BYTES].removeprefix(BOM_UTF8).lstrip()
    if start.startswith(b"{"):
        return "jsonl"
    return "yaml" if start.startswith((b"- ", b"---")) else "csv"


def refuse_foreign_format(data: bytes) -> None:
    """Raise InvalidManifest if the first bytes are of a web page, an old or an encrypted workbook."""
    if _HTML.match(data):
        raise InvalidManifest(
            "the manifest is a web page and not a file",
            hint="a shared link may ask to sign in: share the sheet with anyone who has the link, or download it; "
            "an export may be one inside: open it in a spreadsheet program, and save it as .xlsx",
        )
    if name := next((name for start, name in _OTHER_STARTS.items() if data.startswith(start)), None):
        raise InvalidManifest(f"the manifest is {name}, which is not read", hint=_SAVE_HINT)
    if data.startswith(_OLE):
        if _ENCRYPTED_PACKAGE in data:
            raise InvalidManifest(
                "the manifest is encrypted with a password", hint="save it without a password, as .xlsx or CSV"
            )
        raise InvalidManifest(
            "the manifest is in the old format .xls of Excel 97, which is not read", hint="save it as .xlsx or CSV"
        )
