"""Parses a part of a workbook as a stream of XML events, without entities and without building a tree."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from typing import NoReturn
from xml.parsers import expat  # entities are refused below, and nothing is fetched

from media.spreadsheets.archive import UNREADABLE, damaged_error

CHUNK_BYTES = 64 * 1024

StartHandler = Callable[[str, Mapping[str, str]], None]
EndHandler = Callable[[str], None]
TextHandler = Callable[[str], None]


def parse_part(
    archive: zipfile.ZipFile,
    name: str,
    start: StartHandler,
    end: EndHandler | None = None,
    text: TextHandler | None = None,
) -> None:
    """Call the handlers for each element of a part, with names without their prefix.

    Raises:
        SpreadsheetRefused: The part is missing or damaged, or declares entities.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.EntityDeclHandler = _refuse_entities
    parser.StartElementHandler = lambda element, attributes: start(_local(element), attributes)
    if end is not None:
        parser.EndElementHandler = lambda element: end(_local(element))
    if text is not None:
        parser.CharacterDataHandler = text
    try:
        with archive.open(name) as part:
            while chunk := part.read(CHUNK_BYTES):
                parser.Parse(chunk, False)  # noqa: FBT003  # positional in expat
            parser.Parse(b"", True)  # noqa: FBT003
    except (expat.ExpatError, *UNREADABLE):
        raise damaged_error() from None


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _refuse_entities(*_: object) -> NoReturn:
    raise damaged_error()
