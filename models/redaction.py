"""Takes secrets out of text: the query of every URL, and userinfo."""

from __future__ import annotations

import re

# Up to the next white space: a query may hold quotes, and what follows them may be its signature.
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_USERINFO = re.compile(r"^([^/]*//)[^/]*@")
_WITHHELD = "…"


def redact_url(url: str) -> str:
    """Return the URL without userinfo, query and fragment; `?…` marks where a query stood.

    Presigned URLs carry their signature in the query. Text that is no URL comes back up to its first `?`.
    """
    # By hand: urlsplit gives up on some malformed hosts, and a malformed URL has secrets too.
    bare, _, query = url.partition("#")[0].partition("?")
    bare = _USERINFO.sub(r"\1", bare)
    return f"{bare}?{_WITHHELD}" if query else bare


def redact(text: str) -> str:
    """Return the text with each URL in it redacted."""
    return _URL.sub(lambda match: redact_url(match.group()), text)
