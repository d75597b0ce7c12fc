"""The keys of the artifacts about provisionings in Prefect, which allows lower-case letters, digits and dashes.

A key contains the name for a person who reads it, for example `avatar-ada-lovelace-1c9771a1`. It identifies the
provisioning by the first eight digits of its id, so that it is found after the name was replaced or erased.
"""

from __future__ import annotations

import re
import unicodedata

from models.text.redaction import redact

AVATAR_KEY_PREFIX = "avatar-"
FLEET_KEY = "avatar-fleet"
MAX_SLUG_CHARACTERS = 40
"""Of the name in a key: a page of Prefect shows the key as a heading."""
ID_CHARACTERS = 8
# Letters that Unicode does not decompose into a Latin letter and marks.
_LATIN = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "þ": "th", "ħ": "h", "ı": "i", "ŋ": "n"}
)


def avatar_key(name: str, provisioning_id: str) -> str:
    """Return the key of the artifact about a provisioning. A name without a Latin letter or digit is left out."""
    parts = [AVATAR_KEY_PREFIX.rstrip("-"), _slug(redact(name)), provisioning_id[:ID_CHARACTERS]]
    return "-".join(filter(None, parts))


def is_key_of(key: str, provisioning_id: str) -> bool:
    """Return whether a key is that of the provisioning, under any name it had, or of an earlier version's form."""
    if key == f"{AVATAR_KEY_PREFIX}{provisioning_id}":
        return True
    return _pattern(provisioning_id).fullmatch(key) is not None


def contains_key_of(text: str, provisioning_id: str) -> bool:
    """Return whether a text contains a key of the provisioning, for example as a part of an address."""
    key = _pattern(provisioning_id).pattern
    return provisioning_id in text or re.search(rf"(?<![a-z0-9-]){key}(?![a-z0-9-])", text) is not None


def _pattern(provisioning_id: str) -> re.Pattern[str]:
    return re.compile(rf"{AVATAR_KEY_PREFIX}(?:[a-z0-9-]+-)?{re.escape(provisioning_id[:ID_CHARACTERS])}")


def _slug(name: str) -> str:
    folded = unicodedata.normalize("NFKD", name.casefold().translate(_LATIN)).casefold().translate(_LATIN)
    words = re.sub("[^a-z0-9]+", "-", "".join(c for c in folded if not unicodedata.combining(c))).strip("-")
    return words[:MAX_SLUG_CHARACTERS].strip("-")
