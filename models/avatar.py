"""Argil's wire format: the create request, sent exactly as the seed has it, and the avatar, read tolerantly.

Source: Argil's reference for POST /avatars; later pages name `createdAt` what the seed calls `createAt`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from models.redaction import redact

SUBMISSION_KEY = "submission_id"
"""The pair in `extras` that is ours: it comes back in every answer and tells whose create an avatar is."""


class AvatarStatus(StrEnum):
    """The statuses that Argil documents. Any other text may come: it is kept, and never an end."""

    NOT_TRAINED = "NOT_TRAINED"
    TRAINING = "TRAINING"
    IDLE = "IDLE"
    TRAINING_FAILED = "TRAINING_FAILED"
    REFUSED = "REFUSED"


ENDS = frozenset({AvatarStatus.IDLE, AvatarStatus.TRAINING_FAILED, AvatarStatus.REFUSED})


class VideoSource(BaseModel):
    """Where Argil fetches a recording."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str


class CreateAvatar(BaseModel):
    """The body of POST /avatars: the seed's fields and no other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    dataset_video: Annotated[VideoSource, Field(serialization_alias="datasetVideo")]
    consent_video: Annotated[VideoSource, Field(serialization_alias="consentVideo")]
    extras: dict[str, str]

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        return self.model_dump(by_alias=True)


def _only(kind: type) -> BeforeValidator:
    """Read a value of another type than `kind` as absent: no field of an answer but two may be relied on."""
    return BeforeValidator(lambda value: value if type(value) is kind else None)  # True is no number of pixels


def _moment(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _strings(value: object) -> dict[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {key: text for key, text in pairs if isinstance(key, str) and isinstance(text, str)}


def storable(text: str) -> str:
    """Return the text with a question mark for what no database takes: NUL, and halves of a character."""
    return text.encode(errors="replace").decode().replace("\x00", "?")


def plain(text: str) -> str:
    """Return an id as it is; raises ValueError for one that no URL and no database takes."""
    if text != storable(text):
        raise ValueError("it holds what is no character")
    return text


PlainId = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(plain)]
Text = Annotated[str | None, _only(str)]
Pixels = Annotated[int | None, _only(int)]


class Avatar(BaseModel):
    """An avatar as Argil tells of it.

    Only `id` and `status` are sure to be there. Everything else may be null, absent, of an unexpected type (then
    read as absent) or new. `raw` is the whole answer.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: PlainId
    status: Annotated[str, AfterValidator(redact), AfterValidator(storable)]  # recorded and told as it is
    name: Text = None
    created_at: Annotated[
        datetime | None,
        BeforeValidator(_moment),
        Field(validation_alias=AliasChoices("createAt", "createdAt")),
    ] = None
    gestures: Annotated[list[Any], BeforeValidator(lambda v: v if isinstance(v, list) else [])] = Field(
        default_factory=list  # pydantic copies a default deeply each time, and a list has thousands of avatars
    )
    width: Pixels = None
    height: Pixels = None
    thumbnail_url: Annotated[Text, Field(validation_alias="thumbnailUrl")] = None
    cover_image_url: Annotated[Text, Field(validation_alias="coverImageUrl")] = None
    extras: Annotated[dict[str, str], BeforeValidator(_strings)] = Field(default_factory=dict)
    orientation: Text = None
    model: Text = None
    raw: dict[str, Any]

    @classmethod
    def read(cls, answer: object) -> Self | None:
        """Read a decoded JSON answer; None where it is no avatar (no object, no id or no status)."""
        if not isinstance(answer, dict):
            return None
        try:
            return cls.model_validate({**answer, "raw": answer})
        except ValidationError:
            return None

    @property
    def is_settled(self) -> bool:
        """Whether the status is one of Argil's three ends."""
        return self.status in ENDS

    @property
    def submission_id(self) -> str | None:
        """Our correlation key, where the answer carries it."""
        return self.extras.get(SUBMISSION_KEY)


class Listing:
    """The avatars of a list call, each read in full only when asked for: of thousands most are as they were."""

    def __init__(self, answer: list[object]) -> None:
        """Take a decoded JSON list; what is no avatar in it is left out."""
        self._by_id: dict[str, dict[str, Any]] = {
            item["id"]: item for item in answer if isinstance(item, dict) and isinstance(item.get("id"), str)
        }

    def says(self, avatar_id: str, status: str | None) -> bool:
        """Whether it shows the avatar with just this status."""
        item = self._by_id.get(avatar_id)
        return item is not None and item.get("status") == status

    def avatar(self, avatar_id: str) -> Avatar | None:
        """Return the avatar, None where the list does not show it."""
        return Avatar.read(self._by_id.get(avatar_id))
