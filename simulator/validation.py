"""The documented rules for Argil's create request: with videos, and with an image."""

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

_IMAGE_DATA = re.compile(r"data:image/(?:png|jpeg|jpg|webp);base64,")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class InvalidCreateRequest(ValueError):
    """The request breaks a rule; the message names it."""


@dataclass(frozen=True, slots=True)
class CreateArgs:
    """A valid create request, with videos or with an image."""

    name: str
    urls: tuple[str, ...]
    """The recordings: dataset video and consent video, or the image; that of an image in base64 is its text."""
    extras: Mapping[str, str] = field(default_factory=dict)
    is_image: bool = False
    voice_id: str | None = None
    callback_url: str | None = None

    @property
    def identity(self) -> tuple[str, ...]:
        """The identity of the request, independent of its extras and of URL signatures."""
        return self.name, *map(_without_query, self.urls)


def parse_json(raw: bytes) -> Any:
    """Return the JSON value in `raw`; raises InvalidCreateRequest if it is not JSON."""
    try:
        return json.loads(raw, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidCreateRequest(f"the body is not JSON: {error}") from error


def validate_create(body: Any) -> CreateArgs:
    """Return the validated request; raises InvalidCreateRequest for the first rule that it breaks.

    A body with `type` or `datasetImage` is that of Argil's current reference, any other that of the original one.
    """
    if isinstance(body, dict) and not {"type", "datasetImage"}.isdisjoint(body):
        return _validate_image_create(body)
    _validate_object("the body", body, required=("name", "datasetVideo", "consentVideo"), optional=("extras",))
    return CreateArgs(
        name=_validate_text("name", body["name"], min_characters=1),
        urls=(
            _validate_video("datasetVideo", body["datasetVideo"]),
            _validate_video("consentVideo", body["consentVideo"]),
        ),
        extras=_validate_extras(body.get("extras", {})),
    )


def _validate_image_create(body: dict[str, Any]) -> CreateArgs:
    optional = ("voiceId", "callbackUrl", "extras")
    _validate_object("the body", body, required=("type", "name", "datasetImage"), optional=optional)
    if body["type"] != "IMAGE":
        raise InvalidCreateRequest('type must be "IMAGE"')
    voice_id, callback_url = body.get("voiceId"), body.get("callbackUrl")
    if "voiceId" in body and not (isinstance(voice_id, str) and _UUID.fullmatch(voice_id)):
        raise InvalidCreateRequest("voiceId must be a UUID")
    if "callbackUrl" in body and not (isinstance(callback_url, str) and _HTTPS_URI.fullmatch(callback_url)):
        raise InvalidCreateRequest("callbackUrl must be a URI that starts with https://")
    return CreateArgs(
        name=_validate_text("name", body["name"], min_characters=1),
        urls=(_validate_image(body["datasetImage"]),),
        extras=_validate_extras(body.get("extras", {})),
        is_image=True,
        voice_id=voice_id,
        callback_url=callback_url,
    )


def _validate_image(value: Any) -> str:
    if not isinstance(value, dict) or len(value) != 1 or not {"url", "base64"}.issuperset(value):
        raise InvalidCreateRequest("datasetImage must be an object with exactly one of url and base64")
    if "url" in value:
        return _validate_video("datasetImage", value)
    text = value["base64"]
    if not isinstance(text, str) or not _IMAGE_DATA.match(text):
        raise InvalidCreateRequest("datasetImage.base64 must start with data:image/(png|jpeg|jpg|webp);base64,")
    return text


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
