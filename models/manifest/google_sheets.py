"""Links to Google Sheets: a link from the browser's address bar becomes the one that exports the sheet as CSV."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

HOST = "docs.google.com"
_PATH = re.compile(r"(/spreadsheets/(?:u/\d{1,3}/)?d/(e/)?[\w-]{1,200})(?:/(\w{0,20})[^?#]{0,100})?")
_KEPT_PARAMETERS = ("gid", "resourcekey")
"""The number of the sheet, and the key that old shared files need in addition to their id."""


def export_url(url: str, other_hosts: Collection[str] = ()) -> str | None:
    """Return the URL of the sheet as CSV, or None if the URL is not a link to Google Sheets.

    A link to a file, such as `/export?format=xlsx`, is returned without its fragment.

    Args:
        url: Any URL, for example `https://docs.google.com/spreadsheets/d/ID/edit#gid=7`.
        other_hosts: Further hosts that serve sheets under the same paths.
    """
    parts = urlsplit(url)
    match = _PATH.fullmatch(parts.path)
    if match is None or parts.hostname not in {HOST, *other_hosts}:
        return None
    base, published, action = match[1], match[2], match[3] or ""
    query = parse_qs(parts.query)
    parameters = {name: query[name][0] for name in _KEPT_PARAMETERS if name in query}
    # In the address bar, the sheet that is open is named in the fragment.
    parameters |= {name: values[0] for name, values in parse_qs(parts.fragment).items() if name == "gid"}
    if published:
        path, parameters["output"] = f"{base}/pub", query.get("output", ["csv"])[0]
        parameters.setdefault("single", "true")
    else:
        path, parameters["format"] = (
            f"{base}/export",
            query.get("format", ["csv"])[0] if action == "export" else "csv",
        )
    return urlunsplit((parts.scheme, parts.netloc, path, urlencode(parameters), ""))
