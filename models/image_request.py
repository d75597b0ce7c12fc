"""The request of an avatar that Argil makes from an image, in seconds."""

from __future__ import annotations

import uuid
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from models.media_rules import MediaRole
from models.recording_identity import canonical_form
from models.request import (
    AvatarName,
    AvatarRequest,
    Extras,
    RecordingAddress,
    Reference,
    RequestKind,
    empty_as_none,
)

MAX_UUID_CHARACTERS = 45
"""Of an id in the longest form that Python reads: a URN."""


def _normal_uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError("must be a UUID, as `GET /voices` returns it") from None


class ImageRequest(AvatarRequest):
    """A request to create one avatar of one person from an image.

    The consent video stays here: Argil's create has no field for it. The service checks it, keeps its evidence and
    quarantines it. AVATARS_IMAGE_CONSENT decides whether it is required; see `require_consent`.
    """

    model_config = ConfigDict(
        json_schema_extra={"title": "Image request", "description": "One avatar of one person, from an image."},
    )

    kind = RequestKind.IMAGE
    recording_fields = MappingProxyType({MediaRole.IMAGE: "image", MediaRole.CONSENT: "consent_video"})

    name: AvatarName
    image: Annotated[
        RecordingAddress,
        Field(
            title="Image",
            description="HTTPS URL of the picture: PNG, JPEG or WEBP, exactly 16:9 or 9:16, from 1280x720 or "
            "720x1280 to 3840x2160 or 2160x3840, at most 10 MB. One face from the front, and no other person.",
            examples=["https://example.com/ada/portrait.png"],
        ),
    ]
    consent_video: Annotated[
        RecordingAddress | None,
        BeforeValidator(empty_as_none),
        Field(
            title="Consent video",
            description="HTTPS URL of the recorded consent of the same person: MP4 or MOV, at most 30 seconds, "
            "at most 100 MB. Argil does not receive it. Required, unless AVATARS_IMAGE_CONSENT is optional.",
            examples=["https://example.com/ada/consent.mp4"],
        ),
    ] = None
    voice_id: Annotated[
        Annotated[str, Field(max_length=MAX_UUID_CHARACTERS), AfterValidator(_normal_uuid)] | None,
        BeforeValidator(empty_as_none),
        Field(
            title="Voice",
            description="The id of a voice at Argil, a UUID. Without it, Argil designs a voice from the image: "
            "it is not the person's own.",
            examples=["3f2b8c1e-5d47-4a90-9b6e-0c1d2e3f4a5b"],
        ),
    ] = None
    extras: Extras = Field(default_factory=dict)
    reference: Reference = None

    @property
    def _identity(self) -> list[Any]:
        return [
            self.kind,
            self.name,
            canonical_form(self.image),
            canonical_form(self.consent_video) if self.consent_video else None,
            self.voice_id,
            sorted(self.extras.items()),
        ]
