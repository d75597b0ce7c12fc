"""What a caller asks for: strict, and with every problem told at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from models.avatar import SUBMISSION_KEY
from models.errors import InvalidRequest
from models.redaction import looks_secret, redact, redact_url

MAX_EXTRAS = 9
"""Argil's schema allows ten pairs; one is ours (the correlation key)."""
MAX_EXTRA_CHARACTERS = 256
ADVISED_EXTRAS = 5
"""The prose beside Argil's schema says five in all; more are sent, with a warning."""
SHOWN_CHARACTERS = 60
SHOWN_BITS = 256
# What stands here is taken for a URL however malformed: a signature is one in "example.com/a.mp4?sig=1", too.
_URL_FIELDS = {("dataset_video",), ("consent_video",)}


def _https_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError("must be a valid URL") from error
    if parts.scheme.lower() != "https" or not url.startswith("https://"):
        raise ValueError("must begin with https://")
    if not host:
        raise ValueError("must name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("must not hold white space or control characters")
    return url


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not hold a NUL character")
    return text


def _shown_anywhere(text: str) -> str:
    if looks_secret(text):
        raise ValueError("must hold no secret, as a URL with a query: it is shown to everyone")
    return text


HttpsUrl = Annotated[
    str,
    Field(max_length=8192, json_schema_extra={"format": "uri", "pattern": "^https://"}),
    AfterValidator(_https_url),
]
ExtraKey = Annotated[str, Field(min_length=1, max_length=MAX_EXTRA_CHARACTERS), AfterValidator(_storable)]
ExtraText = Annotated[str, Field(max_length=MAX_EXTRA_CHARACTERS), AfterValidator(_storable)]


def _leaves_our_key_alone(extras: dict[str, str]) -> dict[str, str]:
    if SUBMISSION_KEY in extras:
        raise ValueError(f"must not hold {SUBMISSION_KEY!r}: it is the service's own key")
    return extras


def _empty_as_none(value: object) -> object:
    """Read an empty text as no reference: a form sends one where a person left the field blank."""
    return None if value == "" else value


class ProvisioningRequest(BaseModel):
    """What a caller asks for: one avatar of one person.

    Strict: unknown fields are refused. Errors never hold the input, since URLs may carry signatures.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        json_schema_extra={"title": "Request", "description": "One avatar of one person."},
    )

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            title="Name",
            description="The avatar's name at Argil, 1 to 256 characters.",
            examples=["Ada Lovelace"],
        ),
        AfterValidator(_storable),
        AfterValidator(_shown_anywhere),
    ]
    dataset_video: Annotated[
        HttpsUrl,
        Field(
            title="Dataset video",
            description="HTTPS URL of the training recording: MP4 or MOV, 1 to 5 minutes, 720p to 4K, "
            "at most 1.5 GB.",
            examples=["https://example.com/ada/dataset.mp4"],
        ),
    ]
    consent_video: Annotated[
        HttpsUrl,
        Field(
            title="Consent video",
            description="HTTPS URL of the recorded consent of the same person: MP4 or MOV, at most "
            "30 seconds, at most 100 MB.",
            examples=["https://example.com/ada/consent.mp4"],
        ),
    ]
    extras: Annotated[
        dict[ExtraKey, ExtraText],
        Field(
            max_length=MAX_EXTRAS,
            title="Extras",
            description=f"At most {MAX_EXTRAS} pairs of text kept with the avatar at Argil; no secrets.",
            examples=[{"creator_id": "4711"}],
        ),
        AfterValidator(_leaves_our_key_alone),
    ] = {}
    reference: Annotated[
        Annotated[
            str, Field(min_length=1, max_length=256), AfterValidator(_storable), AfterValidator(_shown_anywhere)
        ]
        | None,
        BeforeValidator(_empty_as_none),
        Field(
            title="Reference",
            description="Your own key for this provisioning, unique. The same reference never creates twice.",
            examples=["creator-4711"],
        ),
    ] = None

    @property
    def identity(self) -> str:
        """SHA-256 of what makes two requests the same: name, extras, and both URLs without their queries."""
        parts = [
            self.name,
            input_identity(self.dataset_video),
            input_identity(self.consent_video),
            sorted(self.extras.items()),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def input_identity(url: str) -> str:
    """Return what names a recording for good: its URL without query and fragment, host in lower case.

    Presigned URLs change their query each time they are signed.
    """
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.lower(), query="", fragment="").geturl()


def check_url(url: str) -> None:
    """Check the URL of a recording as a request would; raises InvalidRequest."""
    try:
        _https_url(url)
    except ValueError as error:
        problem = _problem(str(error), url, redact_url)
        raise InvalidRequest([("url", problem)], hint="give the video's https URL") from None


def read_request(fields: Mapping[str, Any]) -> ProvisioningRequest:
    """Check the fields of a request.

    Raises InvalidRequest with every problem: the field, the rule, and the value seen without URL queries.
    """
    try:
        return ProvisioningRequest.model_validate(fields)
    except ValidationError as error:
        problems = [
            (
                redact(".".join(str(part) for part in problem["loc"])) or "request",
                _problem(
                    problem["msg"], problem["input"], redact_url if problem["loc"][:1] in _URL_FIELDS else redact
                ),
            )
            for problem in error.errors(include_url=False)
        ]
        raise InvalidRequest(problems, hint="see the request table in README.md") from None


def _problem(rule: str, value: object, redacted: Callable[[str], str]) -> str:
    rule = rule.removeprefix("Value error, ")
    if isinstance(value, int) and value.bit_length() > SHOWN_BITS:
        return f"{rule}; it is a number of {value.bit_length():,} bits"
    if value is None or isinstance(value, int | float):
        return f"{rule}; it is {value}"
    if not isinstance(value, str):
        return rule
    shown = redacted(value)
    if len(value) > SHOWN_CHARACTERS:
        shown = f"{shown[:SHOWN_CHARACTERS]}… ({len(value)} characters)"
    return f"{rule}; it is {shown!r}"
