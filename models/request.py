"""The provisioning request of a caller: strict validation that reports all problems at once."""

from __future__ import annotations

import hashlib
import itertools
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import InvalidRequest
from models.media.rules import MediaRole
from models.recordings.addresses import validate_address
from models.recordings.canonical_form import canonical_form, equivalent_forms
from models.request_fields import MAX_ECHOED_CHARACTERS, AvatarName, Extras, RecordingAddress, Reference
from models.text.escaping import shorten
from models.text.normalization import normalize_name
from models.text.redaction import redact
from models.text.url_redaction import redact_url
from models.validation_texts import EMPTY, rule_text

MAX_ECHOED_BITS = 256
MAX_FIELD_CHARACTERS = 300
"""Of the name of a field in a problem: a caller chooses the keys of the extras."""
MAX_REASON_CHARACTERS = 1000
"""Of a person's reason for a decision."""
# Values of these fields are redacted as URLs even if malformed: "example.com/a.mp4?sig=1" has a signature too.
_URL_FIELDS = {("dataset_video",), ("consent_video",), ("image",), ("voice_sample",)}


class RequestKind(StrEnum):
    """What an avatar is made from. The ledger stores it."""

    VIDEO = "video"
    """A dataset video and a consent video: `ProvisioningRequest`."""
    IMAGE = "image"
    """An image: `ImageRequest` in models/image_request.py."""
    ADOPTED = "adopted"
    """Nothing: it was created elsewhere: `AdoptedRequest` in models/adopted_request.py."""


class AvatarRequest(BaseModel):
    """What the requests of all kinds have: name, extras, reference and the recordings.

    Unknown fields are rejected. Validation errors never contain the input, because URLs may carry signatures.

    Attributes:
        kind: The kind of the request.
        recording_fields: The field with the address of each recording, by role, in the order of the fields.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: ClassVar[RequestKind]
    recording_fields: ClassVar[Mapping[MediaRole, str]]

    if TYPE_CHECKING:  # each kind declares its fields in the order of its form; pydantic puts inherited ones first
        name: AvatarName
        extras: Extras = {}
        reference: Reference = None

    @property
    def recordings(self) -> dict[MediaRole, str]:
        """The address of each recording that the request has, by role; none after an erasure."""
        addresses = {role: getattr(self, field) for role, field in self.recording_fields.items()}
        return {role: address for role, address in addresses.items() if address}

    @property
    def fingerprint(self) -> str:
        """The identity of a request: SHA-256 (hex) of everything that Argil receives, without the reference."""
        return self._fingerprint({role: canonical_form(address) for role, address in self.recordings.items()})

    @property
    def fingerprints(self) -> frozenset[str]:
        """Its fingerprint, and those of the same request with other addresses of its recordings.

        See `equivalent_forms`. The ledger stores the first one; a request is the same if its one is among these.
        """
        roles, addresses = self.recordings.keys(), self.recordings.values()
        combinations = itertools.product(*map(equivalent_forms, addresses))
        return frozenset(self._fingerprint(dict(zip(roles, forms, strict=True))) for forms in combinations)

    def _fingerprint(self, forms: Mapping[MediaRole, str]) -> str:
        return hashlib.sha256(json.dumps(self._identity(forms)).encode()).hexdigest()

    @abstractmethod
    def _identity(self, forms: Mapping[MediaRole, str]) -> list[Any]:
        """Return what identifies the request, with these forms of its recordings."""


AnyRequest = TypeVar("AnyRequest", bound=AvatarRequest)


class ProvisioningRequest(AvatarRequest):
    """A request to create one avatar of one person from a dataset video: the video request."""

    model_config = ConfigDict(
        json_schema_extra={"title": "Request", "description": "One avatar of one person."},
    )

    kind = RequestKind.VIDEO
    recording_fields = MappingProxyType({MediaRole.DATASET: "dataset_video", MediaRole.CONSENT: "consent_video"})

    name: AvatarName
    dataset_video: Annotated[
        RecordingAddress,
        Field(
            title="Dataset video",
            description="Address of the training recording: MP4 or MOV, 1 to 5 minutes, 720p to 4K, at most "
            "1.5 GB. A URI s3://BUCKET/KEY, gs://BUCKET/KEY or az://CONTAINER/KEY (recommended), or an HTTPS URL.",
            examples=["s3://recordings/ada/dataset.mp4"],
        ),
    ]
    consent_video: Annotated[
        RecordingAddress,
        Field(
            title="Consent video",
            description="Address of the recorded consent of the same person: MP4 or MOV, at most 30 seconds, at "
            "most 100 MB. A URI in an object store (recommended), or an HTTPS URL.",
            examples=["s3://recordings/ada/consent.mp4"],
        ),
    ]
    extras: Extras = {}
    reference: Reference = None

    def _identity(self, forms: Mapping[MediaRole, str]) -> list[Any]:
        return [
            self.name,
            forms.get(MediaRole.DATASET),
            forms.get(MediaRole.CONSENT),
            sorted(self.extras.items()),
        ]


def validate_recording(address: str) -> None:
    """Validate the address of a recording as a request does.

    Raises:
        InvalidRequest: The address is invalid.
    """
    try:
        validate_address(address)
    except ValueError as error:
        problem = _format_problem(str(error), address, redact_url)
        raise InvalidRequest(
            [("recording", problem)], hint="pass the https URL of the recording, or its URI in an object store"
        ) from None


def parse_reason(text: str) -> str:
    """Return a person's reason for a decision on one line: white space and line breaks are one space each.

    Raises:
        InvalidRequest: The reason is empty or too long, or contains an invisible character.
    """
    rule = f"must have 1 to {MAX_REASON_CHARACTERS} characters"
    try:
        reason = normalize_name(" ".join(text.split()))
        if 1 <= len(reason) <= MAX_REASON_CHARACTERS:
            return reason
    except ValueError as error:
        rule = str(error)
    raise InvalidRequest([("reason", _format_problem(rule, text, redact))], hint="write who decided and why")


def parse_request(fields: Mapping[str, Any]) -> ProvisioningRequest:
    """Validate the fields of a video request. Raises InvalidRequest, as `validate_fields` does."""
    return validate_fields(ProvisioningRequest, fields)


def validate_fields(request_class: type[AnyRequest], fields: Mapping[str, Any]) -> AnyRequest:
    """Validate the fields of a request of one kind.

    Raises:
        InvalidRequest: All problems: the field, the rule, and the actual value without URL queries.
    """
    try:
        return request_class.model_validate(fields)
    except ValidationError as error:
        problems = [
            (
                shorten(redact(".".join(map(str, problem["loc"]))), MAX_FIELD_CHARACTERS) or "request",
                _format_problem(
                    rule_text(problem),
                    problem["input"],
                    redact_url if problem["loc"][:1] in _URL_FIELDS else redact,
                ),
            )
            for problem in error.errors(include_url=False)
        ]
        hint = "correct these fields; `avatars provision --help` describes each"
        raise InvalidRequest(problems, hint=hint) from None


def _format_problem(rule: str, value: object, redacted: Callable[[str], str]) -> str:
    rule = rule.removeprefix("Value error, ")
    if value == "" and rule == EMPTY:
        return rule
    if isinstance(value, int) and value.bit_length() > MAX_ECHOED_BITS:
        return f"{rule}; it is a number of {value.bit_length():,} bits"
    if value is None or isinstance(value, int | float):
        return f"{rule}; it is {value}"
    if not isinstance(value, str):
        return rule
    text = redacted(value)
    if len(value) > MAX_ECHOED_CHARACTERS:
        text = f"{text[:MAX_ECHOED_CHARACTERS]}… ({len(value)} characters)"
    return f"{rule}; it is {text!r}"
