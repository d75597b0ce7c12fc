"""The documented rules for Argil's create request."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

MAX_CHARACTERS = 256
MAX_EXTRAS = 10
# `format: uri` and `pattern: ^https://.*` combined: a host, and only the characters of a URI (RFC 3986).
_HTTPS_URI = re.compile(r"https://(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")


class InvalidCreateRequest(ValueError):
    """The request breaks a rule; the message names it."""


@dataclass(frozen=True, slots=True)
class CreateArgs:
    """A valid create request."""

    name: str
    dataset_url: str
    consent_url: str
    extras: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[str, str, str]:
        """The identity of the request, independent of its extras and of URL signatures."""
        return self.name, _without_query(self.dataset_url), _without_query(self.consent_url)


def parse_json(raw: bytes) -> Any:
    """Return the JSON value in `raw`; raises InvalidCreateRequest if it is not JSON."""
    try:
        return json.loads(raw, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidCreateRequest(f"the body is not JSON: {error}") from error


def validate_create(body: Any) -> CreateArgs:
    """Return the validated request; raises InvalidCreateRequest for the first rule that it breaks."""
    _validate_object("the body", body, required=("name", "datasetVideo", "consentVideo"), optional=("extras",))
    return CreateArgs(
        name=_validate_text("name", body["name"], min_characters=1),
        dataset_url=_validate_video("datasetVideo", body["datasetVideo"]),
        consent_url=_validate_video("consentVideo", body["consentVideo"]),
        extras=_validate_extras(body.get("extras", {})),
    )


def _validate_object(what: str, value: Any, *, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    if not isinstance(value, dict):
        raise InvalidCreateRequest(f"{what} must be an object")
    for name in required:
        if name not in value:
            raise InvalidCreateRequest(f"{what} lacks the property {name!r}")
    for name in value:
        if name not in required and name not in optional:
            raise InvalidCreateRequest(f"{what} must not have the property {name!r}")


def _validate_text(what: str, value: Any, *, min_characters: int = 0) -> str:
    if not isinstance(value, str):
        raise InvalidCreateRequest(f"{what} must be a string")
    if not min_characters <= len(value) <= MAX_CHARACTERS:
        raise InvalidCreateRequest(f"{what} must have {min_characters} to {MAX_CHARACTERS} characters")
    return value


def _validate_video(what: str, value: Any) -> str:
    _validate_object(what, value, required=("url",))
    url = value["url"]
    if not isinstance(url, str) or not _HTTPS_URI.fullmatch(url):
        raise InvalidCreateRequest(f"{what}.url must be a URI that starts with https://")
    return url


def _validate_extras(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise InvalidCreateRequest("extras must be an object")
    if len(value) > MAX_EXTRAS:
        raise InvalidCreateRequest(f"extras must have at most {MAX_EXTRAS} pairs")
    return {
        _validate_text("a key of extras", key): _validate_text(f"extras.{key}", text) for key, text in value.items()
    }


def _reject_constant(constant: str) -> NoReturn:
    # The json module parses NaN and Infinity, which are not JSON.
    raise InvalidCreateRequest(f"{constant} is not a JSON value")


def _without_query(url: str) -> str:
    return re.split(r"[?#]", url, maxsplit=1)[0]
