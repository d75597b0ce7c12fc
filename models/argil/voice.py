"""The voice of an avatar: Argil's wire format, and the rules by which a voice belongs to a provisioning.

Source: Argil's reference for GET /voices. The only documented link from an avatar to its voice is `voiceId` in the
webhook AVATAR_TRAINING_SUCCESS, and deliveries are not signed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from models.argil.account_list import incomplete_because
from models.argil.avatar import ArgilId, Avatar, LenientStr, is_plain_id, parse_time
from models.argil.response import ArgilResponse
from models.argil.response_meaning import list_items
from models.errors import InvalidRequest
from models.provisioning import Provisioning, Submission

VOICE_EVENT = "avatar.voice"
"""The Prefect event of a voice that was found later than READY."""
LOOKUP_PERIOD = timedelta(days=1)
"""How long after READY a voice is looked up. Then only `avatars voice` records one."""
FIRST_LOOKUP_INTERVAL = timedelta(minutes=1)


class Voice(BaseModel):
    """A voice as Argil returns it. Only its id is required; a value of an unexpected type is parsed as absent."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    id: ArgilId
    name: LenientStr = None
    created_at: Annotated[datetime | None, BeforeValidator(parse_time), Field(validation_alias="createdAt")] = None

    @classmethod
    def parse(cls, response: object) -> Self | None:
        """Parse a decoded JSON response; None if it is not an object with an id."""
        try:
            return cls.model_validate(response) if isinstance(response, dict) else None
        except ValidationError:
            return None

    def is_older_than(self, moment: datetime | None) -> bool:
        """Whether Argil created it before this moment. Times may lack their fraction of a second."""
        return (
            self.created_at is not None and moment is not None and self.created_at < moment.replace(microsecond=0)
        )


def earliest_creation(provisioning: Provisioning, submission: Submission | None) -> datetime | None:
    """Return when the voice of an avatar can have been created at the earliest; None if that is not known.

    Args:
        provisioning: The provisioning of the avatar.
        submission: The submission that created the avatar; None for an adopted avatar, whose creation counts.
    """
    if submission is not None:
        return submission.created_at
    avatar = Avatar.parse(provisioning.avatar_snapshot)
    if avatar is None or avatar.created_at is None:
        return None
    return avatar.created_at if avatar.created_at.tzinfo else avatar.created_at.replace(tzinfo=UTC)


class VoiceList:
    """The voices of a list response, and why it may be incomplete."""

    def __init__(self, response: ArgilResponse) -> None:
        """Read a response that holds a list; other items than voices are skipped."""
        items = list_items(response.json) or ()
        self.voices = [voice for item in items if (voice := Voice.parse(item)) is not None]
        self.incomplete_because = incomplete_because(response)
        """Empty for a plain array without paging."""
        self._by_name: dict[str | None, list[Voice]] = {}
        for voice in self.voices:
            self._by_name.setdefault(voice.name, []).append(voice)

    def named(self, name: str) -> list[Voice]:
        """Return the voices with exactly this name."""
        return self._by_name.get(name, [])


@dataclass(frozen=True, slots=True)
class TrainingPeriod:
    """The time from the submission of an avatar to the record of its READY."""

    started_at: datetime
    ended_at: datetime

    def may_include(self, voice: Voice) -> bool:
        """Whether the voice may have been created then; one without a time may have been."""
        started_at = self.started_at.replace(microsecond=0)
        return voice.created_at is None or started_at <= voice.created_at <= self.ended_at


def parse_voice_id(text: str) -> str:
    """Return the id of a voice that a person wrote. Raises InvalidRequest."""
    text = text.strip()
    if not is_plain_id(text):
        raise InvalidRequest(
            [("voice_id", "must be printable ASCII without spaces, of at most 256 characters")],
            hint="copy the id of the voice from Argil's app",
        )
    return text


def match_voice(listed: VoiceList, name: str, period: TrainingPeriod, known_ids: Collection[str]) -> Voice | None:
    """Return the only voice of this name that was created during the training, None if it is not certain.

    Args:
        listed: The account's voices. An incomplete list may hide a second voice, so it proves nothing.
        name: The avatar's name.
        period: The training.
        known_ids: The voices that belong to other avatars.
    """
    if listed.incomplete_because:
        return None
    possible = [voice for voice in listed.named(name) if voice.id not in known_ids and period.may_include(voice)]
    return possible[0] if len(possible) == 1 and possible[0].created_at is not None else None


def next_lookup_at(ready_at: datetime, now: datetime) -> datetime | None:
    """Return when the voice is looked up again: the interval doubles with each lookup. None after LOOKUP_PERIOD."""
    age = now - ready_at
    return None if age >= LOOKUP_PERIOD else now + max(FIRST_LOOKUP_INTERVAL, age)
