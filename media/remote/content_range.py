"""Parses the header Content-Range (RFC 9110, section 14.4), also in the forms that hosts send against the RFC."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

# At most 18 digits: larger sizes are not real, and would overflow the integers of PyAV.
_NUMBER = r"0*([0-9]{1,18})"
# The RFC requires "bytes", one space and nothing else. Units have no case (section 14.1), and some hosts repeat
# the "=" of the request.
_UNIT = r"[ \t]*bytes[ \t]*(?:=[ \t]*)?"
_RANGE = re.compile(rf"{_UNIT}{_NUMBER}[ \t]*-[ \t]*{_NUMBER}[ \t]*/[ \t]*(?:{_NUMBER}|\*)[ \t]*", re.IGNORECASE)
_UNSATISFIED = re.compile(rf"{_UNIT}\*[ \t]*/[ \t]*{_NUMBER}[ \t]*", re.IGNORECASE)


class ContentRange(NamedTuple):
    """The bytes from `first` to `last` (included) of a file of `size` bytes; None if the host does not state it."""

    first: int
    last: int
    size: int | None


def parse_content_range(headers: Iterable[str]) -> ContentRange | None:
    """Parse the values of all headers Content-Range of a 206 response; None if they are invalid or contradict."""
    matches = [_RANGE.fullmatch(header) for header in headers]
    ranges = {
        ContentRange(int(match[1]), int(match[2]), None if match[3] is None else int(match[3])) if match else None
        for match in matches
    }
    if len(ranges) != 1:
        return None
    content_range = ranges.pop()
    if content_range is None or content_range.first > content_range.last:
        return None
    if content_range.size is not None and content_range.last >= content_range.size:
        return None
    return content_range


def parse_unsatisfied_range(header: str) -> int | None:
    """Return the size of the file by the Content-Range of a 416 response; None if it does not state it."""
    match = _UNSATISFIED.fullmatch(header)
    return int(match[1]) if match else None
