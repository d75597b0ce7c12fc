"""The types of the fields of a request: their limits, normal forms, and what a form of Prefect's UI shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from models.recordings.addresses import ADDRESS_PATTERN, validate_address
from models.recordings.canonical_form import MAX_URL_CHARACTERS
from models.text.normalization import (
    MAX_NORMALIZED_CHARACTERS,
    normalize_name,
    normalize_reference,
    refuse_control_characters,
    refuse_hidden_characters,
    trim,
)
from models.text.redaction import redact
from models.text.url_redaction import contains_secret

SUBMISSION_ID_EXTRA = "submission_id"
"""The key in `extras` that holds the submission id. Argil returns it with the created avatar."""
MAX_EXTRAS = 9
"""Argil's schema allows ten pairs; one is reserved for the submission id."""
MAX_EXTRA_CHARACTERS = 256
RECOMMENDED_MAX_EXTRAS = 5
"""The text next to Argil's schema says five in total; more are sent, with a warning."""
MAX_ECHOED_CHARACTERS = 60
"""Of a value in a problem."""


def _if_text(function: Callable[[str], str]) -> BeforeValidator:
    """Apply a function before pydantic checks length and encoding of the text; write it after the `Field`."""

    def apply(value: object) -> object:
        return function(value) if isinstance(value, str) and len(value) <= MAX_NORMALIZED_CHARACTERS else value

    return BeforeValidator(apply)


def _reject_secrets(text: str) -> str:
    if contains_secret(text):
        raise ValueError("must not contain a secret, for example a URL with a query: it is shown in logs")
    return text


def normalize_extra(text: str) -> str:
    """Return a key or a value of the extras in normal form.

    Raises:
        ValueError: It contains a character that is invisible or breaks a line.
    """
    return refuse_hidden_characters(trim(refuse_control_characters(text)))


RecordingAddress = Annotated[
    str,
    Field(max_length=MAX_URL_CHARACTERS, json_schema_extra={"format": "uri", "pattern": ADDRESS_PATTERN}),
    AfterValidator(validate_address),
]
ExtraKey = Annotated[str, Field(min_length=1, max_length=MAX_EXTRA_CHARACTERS), _if_text(normalize_extra)]
ExtraText = Annotated[str, Field(max_length=MAX_EXTRA_CHARACTERS), _if_text(normalize_extra)]


def _reject_repeated_keys(extras: object) -> object:
    """Reject keys with one normal form: a dict would silently keep the last value."""
    if isinstance(extras, Mapping):
        counts = Counter(trim(key) for key in extras if isinstance(key, str))
        if repeated := [key for key, count in counts.items() if count > 1]:
            raise ValueError(f"must not repeat the key {redact(repeated[0])[:MAX_ECHOED_CHARACTERS]!r}")
    return extras


def _reject_reserved_key(extras: dict[str, str]) -> dict[str, str]:
    if SUBMISSION_ID_EXTRA in extras:
        raise ValueError(f"must not contain {SUBMISSION_ID_EXTRA!r}: the service sets this key itself")
    return extras


def empty_as_none(value: object) -> object:
    """Return None for an empty string: a form sends one for a blank field. It runs after the text is trimmed."""
    return None if value == "" else value


AvatarName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        title="Name",
        description="The avatar's name at Argil, 1 to 256 characters.",
        examples=["Ada Lovelace"],
    ),
    _if_text(normalize_name),
    AfterValidator(_reject_secrets),
]
Extras = Annotated[
    dict[ExtraKey, ExtraText],
    Field(
        max_length=MAX_EXTRAS,
        title="Extras",
        description=f"At most {MAX_EXTRAS} text pairs, stored with the avatar at Argil. No secrets.",
        examples=[{"creator_id": "4711"}],
    ),
    BeforeValidator(_reject_repeated_keys),
    AfterValidator(_reject_reserved_key),
]
Reference = Annotated[
    Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_reject_secrets)] | None,
    BeforeValidator(empty_as_none),
    _if_text(normalize_reference),
    Field(
        title="Reference",
        description="Your own unique key for this provisioning. One reference never creates a second avatar. "
        "Without one, each run creates another avatar, also from the same recordings.",
        examples=["creator-4711"],
    ),
]
