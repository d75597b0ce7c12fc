"""Decodes a text manifest: UTF-8, UTF-16 or UTF-32 with a byte order mark, and Windows-1252 for CSV."""

from __future__ import annotations

import codecs
import re

from models.errors import InvalidManifest

# The mark of UTF-32 begins with that of UTF-16, so it comes first.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MULTIBYTE_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_NON_ASCII = re.compile(rb"[\x80-\xff]")
_SAMPLE_BYTES = 1000
"""The beginning in which NUL bytes tell UTF-16 without a byte order mark."""
_ENCODING_NAMES = {"utf-8-sig": "UTF-8", "charmap": "Windows-1252"}
"""Names that spreadsheet programs show, by Python's; Python decodes Windows-1252 as a character map."""
_LINE_END = re.compile(rb"\r\n|\r|\n")
WINDOWS_1252_NOTICE = (
    "the manifest is not UTF-8 and was read as Windows-1252: check letters such as ä, é or ñ in the names, "
    "or save it as `CSV UTF-8`"
)


def decode_manifest(data: bytes, *, allow_windows_1252: bool = False) -> tuple[str, list[str]]:
    """Return the text of a manifest, and the notices about its encoding.

    Args:
        data: The bytes of the file.
        allow_windows_1252: Whether text that is not UTF-8 is read as Windows-1252, as Excel saves CSV.

    Raises:
        InvalidManifest: The encoding is unknown, or a byte is invalid in it.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding), []
            except UnicodeDecodeError as error:
                raise _invalid_byte_error(data, error) from None
    if b"\0" in data[:_SAMPLE_BYTES]:
        raise InvalidManifest(
            "the manifest is not a text file, or is UTF-16 without a byte order mark",
            hint="save it as `CSV UTF-8`, or check that this is the right file",
        )
    try:
        return data.decode(), []
    except UnicodeDecodeError as error:
        if not allow_windows_1252 or _is_damaged_utf8(data):
            raise _invalid_byte_error(data, error) from None
    try:
        return data.decode("cp1252"), [WINDOWS_1252_NOTICE]
    except UnicodeDecodeError as error:
        raise _invalid_byte_error(data, error) from None


def _is_damaged_utf8(data: bytes) -> bool:
    """Whether most letters outside of ASCII are valid UTF-8: read as Windows-1252, each would become several."""
    in_sequences = sum(len(match.group()) for match in _MULTIBYTE_SEQUENCE.finditer(data))
    return 2 * in_sequences > len(_NON_ASCII.findall(data))


def _invalid_byte_error(data: bytes, error: UnicodeDecodeError) -> InvalidManifest:
    line = len(_LINE_END.findall(data, 0, error.start)) + 1
    encoding = _ENCODING_NAMES.get(error.encoding, error.encoding.upper())
    return InvalidManifest(
        f"the manifest is not valid {encoding}: line {line} has an invalid byte",
        hint="save it again as UTF-8; in a spreadsheet choose `CSV UTF-8`",
    )
