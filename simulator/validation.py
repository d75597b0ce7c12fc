"""The rules of the create request, as Argil's document states them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

MAX_CHARACTERS = 256
MAX_EXTRAS = 10
# `format: uri` and `pattern: ^https://.*` together: a host, and nothing but the characters of a URI (RFC 3986).
_HTTPS_URI = re.compile(r"https://(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")


class Invalid(ValueError):
    """The request breaks a rule; the message says which."""


@dataclass(frozen=True, slots=True)
class CreateArgs:
    """A create request that keeps every rule."""

    name: str
    dataset_url: str
    consent_url: str
    extras: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes two requests the same one, whatever their extras and however their URLs are signed."""
        return self.name, _without_query(self.dataset_url), _without_query(self.consent_url)


def decoded(raw: bytes) -> Any:
    """Return the JSON value in `raw`. Raises Invalid where there is none."""
    try:
        return json.loads(raw, parse_constant=_no_json)
    except (ValueError, RecursionError) as wrong:
        raise Invalid(f"the body is not JSON: {wrong}") from wrong


def checked(body: Any) -> CreateArgs:
    """Return what `body` asks for. Raises Invalid at the first rule it breaks."""
    _object("the body", body, required=("name", "datasetVideo", "consentVideo"), optional=("extras",))
    return CreateArgs(
        name=_text("name", body["name"], shortest=1),
        dataset_url=_video("datasetVideo", body["datasetVideo"]),
        consent_url=_video("consentVideo", body["consentVideo"]),
        extras=_extras(body.get("extras", {})),
    )


def _object(what: str, value: Any, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    if not isinstance(value, dict):
        raise Invalid(f"{what} must be an object")
    for name in required:
        if name not in value:
            raise Invalid(f"{what} lacks the property {name!r}")
    for name in value:
        if name not in required and name not in optional:
            raise Invalid(f"{what} must not have the property {name!r}")


def _text(what: str, value: Any, *, shortest: int = 0) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{what} must be a string")
    if not shortest <= len(value) <= MAX_CHARACTERS:
        raise Invalid(f"{what} must have {shortest} to {MAX_CHARACTERS} characters")
    return value


def _video(what: str, value: Any) -> str:
    _object(what, value, required=("url",))
    url = value["url"]
    if not isinstance(url, str) or not _HTTPS_URI.fullmatch(url):
        raise Invalid(f"{what}.url must be a URI that starts with https://")
    return url


def _extras(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Invalid("extras must be an object")
    if len(value) > MAX_EXTRAS:
        raise Invalid(f"extras must have at most {MAX_EXTRAS} pairs")
    return {_text("a key of extras", key): _text(f"extras.{key}", text) for key, text in value.items()}


def _no_json(constant: str) -> NoReturn:
    # Python reads NaN and Infinity where JSON knows neither.
    raise Invalid(f"{constant} is no JSON value")


def _without_query(url: str) -> str:
    return re.split(r"[?#]", url, maxsplit=1)[0]
