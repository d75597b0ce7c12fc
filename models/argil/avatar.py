"""Argil's wire format: both bodies of the create request, and the avatar, parsed leniently.

Source: Argil's reference for POST /avatars: its original specification for videos, its current one for images. The
original one names the creation time of an avatar `createAt`, later pages `createdAt`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, TypeGuard

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from models.argil.json_body import limit_depth, parse_json_or_none
from models.request_fields import SUBMISSION_ID_EXTRA
from models.text.redaction import redact, redact_stored

_PRINTABLE_ASCII = re.compile(r"[!-~]{1,256}")
UNKNOWN_STATUS = "UNKNOWN"
"""Recorded for a created avatar whose response names no status."""


class AvatarStatus(StrEnum):
    """The statuses that Argil documents. Any other text is kept as it is, and is not terminal."""

    NOT_TRAINED = "NOT_TRAINED"
    TRAINING = "TRAINING"
    IDLE = "IDLE"
    TRAINING_FAILED = "TRAINING_FAILED"
    REFUSED = "REFUSED"


DOCUMENTED_STATUSES = frozenset(AvatarStatus)
MAX_CREATION_AGE = timedelta(days=3650)
"""An earlier creation time is not plausible."""
MAX_STATUS_CHARACTERS = 256
"""A longer text is cut: PostgreSQL would refuse to record it."""
TERMINAL_STATUSES = frozenset({AvatarStatus.IDLE, AvatarStatus.TRAINING_FAILED, AvatarStatus.REFUSED})
UNFINISHED_STATUSES = DOCUMENTED_STATUSES - TERMINAL_STATUSES


class RecordingSource(BaseModel):
    """The URL that Argil downloads a recording from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str


class CreateAvatarRequest(BaseModel):
    """The body of POST /avatars with videos: exactly the fields of Argil's original specification."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    dataset_video: Annotated[RecordingSource, Field(serialization_alias="datasetVideo")]
    consent_video: Annotated[RecordingSource, Field(serialization_alias="consentVideo")]
    extras: dict[str, str]

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs in the body, which may contain signatures."""
        return self.dataset_video.url, self.consent_video.url

    @property
    def secrets(self) -> tuple[str, ...]:
        """Other secrets in the body: none."""
        return ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON body."""
        return self.model_dump(by_alias=True)


class CreateImageAvatarRequest(BaseModel):
    """The body of POST /avatars with an image: fields of Argil's current reference. An absent field is not sent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["IMAGE"] = "IMAGE"
    name: str
    dataset_image: Annotated[RecordingSource, Field(serialization_alias="datasetImage")]
    voice_id: Annotated[str | None, Field(serialization_alias="voiceId")] = None
    callback_url: Annotated[str | None, Field(serialization_alias="callbackUrl")] = None
    extras: dict[str, str]

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs in the body, which may contain signatures."""
        return (self.dataset_image.url,)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The part of the callback URL that authenticates a delivery."""
        return (self.callback_url.rpartition(".")[2],) if self.callback_url else ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON body."""
        return self.model_dump(by_alias=True, exclude_none=True)


CreateRequest = CreateAvatarRequest | CreateImageAvatarRequest
"""The body of POST /avatars."""


def _or_none_unless(kind: type) -> BeforeValidator:
    """Parse a value of another type as absent: only `id` and `status` are required in a response."""
    # Not isinstance: True is an int, but not a number of pixels.
    return BeforeValidator(lambda value: value if type(value) is kind else None)


def parse_time(value: object) -> datetime | None:
    """Return a time of Argil's, in UTC if it names no zone; None if it is not a time."""
    time = _parse_datetime(value)
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def _parse_datetime(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def read_extras(value: object) -> dict[str, str] | None:
    """Return the pairs of strings in `extras`, None if it is absent or unreadable.

    Argil's webhooks can send an object as a string of JSON, so a string is decoded, too.
    """
    if isinstance(value, str):
        value = parse_json_or_none(value.encode(errors="replace"))
    if not isinstance(value, dict):
        return None
    return {key: text for key, text in value.items() if isinstance(key, str) and isinstance(text, str)}


def replace_unstorable_characters(text: str) -> str:
    """Return the text with NUL and lone surrogates, which databases reject, replaced by question marks."""
    if not text.isascii():
        text = text.encode(errors="replace").decode()
    return text.replace("\x00", "?")


def validate_storable_id(text: str) -> str:
    """Return the id unchanged.

    Raises:
        ValueError: It holds NUL or a lone surrogate, which neither a URL nor a database can hold.
    """
    if text != replace_unstorable_characters(text):
        raise ValueError("it must not hold NUL or lone surrogates")
    return text


def is_plain_id(value: object) -> TypeGuard[str]:
    """Whether a value from outside can be an id: printable ASCII without secrets, at most 256 characters."""
    if not isinstance(value, str) or not _PRINTABLE_ASCII.fullmatch(value):
        return False
    return redact(value) == value  # the ledger compares ids, so it cannot store another text


def _clean_status(text: str) -> str:
    """Return a status as it can be stored and shown. A list has thousands, almost all of them documented."""
    if text in DOCUMENTED_STATUSES:
        return text
    return replace_unstorable_characters(redact_stored(text))[:MAX_STATUS_CHARACTERS]


ArgilId = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(validate_storable_id)]
LenientStr = Annotated[str | None, _or_none_unless(str)]
LenientInt = Annotated[int | None, _or_none_unless(int)]


class Avatar(BaseModel):
    """An avatar as Argil returns it.

    Only `id` and `status` are required. Every other field may be null, absent or unknown to this class; a value of
    an unexpected type is parsed as absent. `raw` is the whole response.
    """

    # Built when the first avatar is parsed: commands that only read the ledger parse none.
    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    id: ArgilId
    status: Annotated[str, AfterValidator(_clean_status)]  # recorded and shown without mapping
    name: LenientStr = None
    created_at: Annotated[
        datetime | None,
        BeforeValidator(_parse_datetime),
        Field(validation_alias=AliasChoices("createAt", "createdAt")),
    ] = None
    gestures: Annotated[list[Any], BeforeValidator(lambda v: v if isinstance(v, list) else [])] = Field(
        default_factory=list  # pydantic deep-copies a default per instance, and a list has thousands of avatars
    )
    width: LenientInt = None
    height: LenientInt = None
    thumbnail_url: Annotated[LenientStr, Field(validation_alias="thumbnailUrl")] = None
    cover_image_url: Annotated[LenientStr, Field(validation_alias="coverImageUrl")] = None
    extras: Annotated[dict[str, str], BeforeValidator(lambda value: read_extras(value) or {})] = Field(
        default_factory=dict
    )
    orientation: LenientStr = None
    model: LenientStr = None
    raw: dict[str, Any]

    @classmethod
    def parse(cls, response: object) -> Self | None:
        """Parse a decoded JSON response; None if it is not an object with an id and a status."""
        if not isinstance(response, dict):
            return None
        fields = limit_depth(response)
        try:
            return cls.model_validate({**fields, "raw": fields})
        except ValidationError:
            return None

    @classmethod
    def parse_created(cls, response: object) -> Self | None:
        """Like `parse`, but only the id is required: without a status, UNKNOWN_STATUS takes its place."""
        if (avatar := cls.parse(response)) is not None or not isinstance(response, dict):
            return avatar
        without_status = cls.parse({**response, "status": UNKNOWN_STATUS})
        return without_status and without_status.model_copy(update={"raw": limit_depth(response)})

    @property
    def is_terminal(self) -> bool:
        """Whether the status is one of Argil's three terminal statuses."""
        return self.status in TERMINAL_STATUSES

    def created_by(self, now: datetime) -> datetime:
        """Return when Argil created it; `now` if the response has no plausible creation time."""
        if self.created_at is None:
            return now
        is_aware = self.created_at.tzinfo is not None
        created_at = self.created_at if is_aware else self.created_at.replace(tzinfo=UTC)
        return created_at if now - MAX_CREATION_AGE <= created_at <= now else now

    @property
    def submission_id(self) -> str | None:
        """The submission id from `extras`, or None if absent."""
        return self.extras.get(SUBMISSION_ID_EXTRA)
