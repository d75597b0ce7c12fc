"""The request of an avatar that Argil makes from an image, in seconds."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from models.errors import InvalidRequest
from models.media.rules import MediaRole
from models.request import AvatarRequest, RequestKind
from models.request_fields import AvatarName, Extras, RecordingAddress, Reference, empty_as_none

ImageConsent = Literal["required", "optional"]
"""Of AVATARS_IMAGE_CONSENT: whether an image request needs a consent video, which Argil does not ask for."""
CONSENT_RULE = (
    "is missing: an image request needs the recorded consent of the person, as long as AVATARS_IMAGE_CONSENT is "
    "`required`"
)
CREDITS_PER_IMAGE = 2
"""What Argil charges for the create of one avatar from an image. The price of the video create is not published."""
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
    recording_fields = MappingProxyType(
        {MediaRole.IMAGE: "image", MediaRole.CONSENT: "consent_video", MediaRole.VOICE_SAMPLE: "voice_sample"}
    )

    name: AvatarName
    image: Annotated[
        RecordingAddress,
        Field(
            title="Image",
            description="Address of the picture: PNG, JPEG or WEBP, exactly 16:9 or 9:16, from 1280x720 or "
            "720x1280 to 3840x2160 or 2160x3840, at most 10 MB. One face from the front, and no other person. "
            "A URI in an object store (recommended), or an HTTPS URL.",
            examples=["s3://recordings/ada/portrait.png"],
        ),
    ]
    consent_video: Annotated[
        RecordingAddress | None,
        BeforeValidator(empty_as_none),
        Field(
            title="Consent video",
            description="Address of the recorded consent of the same person: MP4 or MOV, at most 30 seconds, "
            "at most 100 MB. Argil does not receive it. Required, unless AVATARS_IMAGE_CONSENT is optional.",
            examples=["s3://recordings/ada/consent.mp4"],
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
    voice_sample: Annotated[
        RecordingAddress | None,
        BeforeValidator(empty_as_none),
        Field(
            title="Voice sample",
            description="Address of a recording of the person's voice, from which Argil clones a voice first: "
            "20 seconds to 5 minutes without silence and noise. It requires a consent video. Leave it empty if you "
            "name a voice.",
            examples=["s3://recordings/ada/voice.mp3"],
        ),
    ] = None
    extras: Extras = Field(default_factory=dict)
    reference: Reference = None

    @field_validator("voice_sample")
    @classmethod
    def _check_voice_sample(cls, sample: str | None, info: ValidationInfo) -> str | None:
        """Check the sample against the fields before it; an invalid one is absent, and a problem of its own."""
        if sample is not None and info.data.get("voice_id") is not None:
            raise ValueError("must not be given with voice_id: a voice is cloned or it exists")
        if sample is not None and "consent_video" in info.data and info.data["consent_video"] is None:
            raise ValueError("requires a consent_video, whatever AVATARS_IMAGE_CONSENT is")
        return sample

    def _identity(self, forms: Mapping[MediaRole, str]) -> list[Any]:
        sample = [forms[MediaRole.VOICE_SAMPLE]] if MediaRole.VOICE_SAMPLE in forms else []
        return [
            *sample,
            self.kind,
            self.name,
            forms.get(MediaRole.IMAGE),
            forms.get(MediaRole.CONSENT),
            self.voice_id,
            sorted(self.extras.items()),
        ]


def describe_credits(count: int) -> str:
    """Return what the creates of some avatars from images cost, for people; empty for none."""
    if not count:
        return ""
    return f"{count:,} from images for {CREDITS_PER_IMAGE * count:,} credits ({CREDITS_PER_IMAGE} each)"


def lacks_consent(request: AvatarRequest, consent: ImageConsent) -> bool:
    """Return whether an image request breaks the rule of AVATARS_IMAGE_CONSENT."""
    return consent == "required" and isinstance(request, ImageRequest) and request.consent_video is None


def require_consent(request: AvatarRequest, consent: ImageConsent) -> None:
    """Raise InvalidRequest if an image request has no consent video and AVATARS_IMAGE_CONSENT requires one."""
    if lacks_consent(request, consent):
        raise InvalidRequest(
            [("consent_video", CONSENT_RULE)],
            hint="give the https URL of the consent video, or set AVATARS_IMAGE_CONSENT=optional",
        )
