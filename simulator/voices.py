"""The voices of the simulated account: one per trained video avatar, and those that POST /voices cloned.

Each video avatar gets a voice halfway through its training, named as the avatar. Only the webhook names the link.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from simulator.avatar import Avatar
from simulator.scenarios import CREATED, CreateResponse, VoiceFault
from simulator.validation import InvalidCreateRequest

VoiceBody = dict[str, Any]
MAX_NAME_CHARACTERS = 256
CLONE_FIELDS = frozenset({"name", "audioUrl", "modelId"})
SHARE_OF_TRAINING = 0.5
"""The part of the training after which the voice exists."""
AGE_OF_OLD_VOICE = timedelta(hours=1)
"""How long before the create the voice of the fault OLDER was created."""
UNKNOWN_VOICE_ID = "00000000-0000-4000-8000-0000000000ff"


@dataclass(frozen=True, slots=True)
class ReceivedClone:
    """A received POST /voices and the status of its response; None if the connection was dropped."""

    body: Any
    status: int | None


class Voices:
    """The voices of one account. Thread-safe. The owner passes the avatars and the time to each call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cloned: dict[str, VoiceBody] = {}
        self._received: list[ReceivedClone] = []
        self.clone_faults: deque[CreateResponse] = deque()
        """The responses to the next POSTs; afterwards each clones a voice."""
        self.list_status = HTTPStatus.OK
        """Another status makes GET /voices fail."""
        self.list_delay_seconds = 0.0
        self.get_status = HTTPStatus.OK
        """Another status makes GET /voices/{id} fail."""

    @property
    def received(self) -> list[ReceivedClone]:
        """Every POST /voices with a valid key, in order."""
        with self._lock:
            return list(self._received)

    @property
    def cloned(self) -> list[VoiceBody]:
        """The cloned voices, oldest first."""
        with self._lock:
            return list(self._cloned.values())

    def all(
        self, avatars: Iterable[Avatar], age: Callable[[Avatar], float], training_seconds: float
    ) -> list[VoiceBody]:
        """Return the body of GET /voices: the voices of avatars, then the cloned ones."""
        born = SHARE_OF_TRAINING * training_seconds
        own = [
            _voice_of(avatar, born)
            for avatar in avatars
            if age(avatar) >= born and avatar.voice_fault is not VoiceFault.NONE_CREATED
        ]
        return own + self.cloned

    def add_clone(self, body: Any, now: datetime, *, creates: bool, status: int | None) -> VoiceBody | None:
        """Clone a voice and record the POST; None if the planned response creates none.

        Raises:
            InvalidCreateRequest: The body is not valid; the POST is recorded.
        """
        try:
            _validate_clone(body)
        except InvalidCreateRequest:
            with self._lock:
                self._received.append(ReceivedClone(body, HTTPStatus.BAD_REQUEST))
            raise
        voice = None
        with self._lock:
            self._received.append(ReceivedClone(body, status))
            if creates:
                voice = _body(str(uuid.uuid4()), body["name"], now) | {"sampleUrl": body["audioUrl"]}
                self._cloned[voice["id"]] = voice
        return voice

    def next_clone_response(self) -> CreateResponse:
        """Return the response to the next POST /voices."""
        with self._lock:
            return self.clone_faults.popleft() if self.clone_faults else CREATED


def delivered_voice_id(avatar: Avatar, others: Iterable[Avatar]) -> str | None:
    """Return `voiceId` of the webhook of an avatar, None if its fault omits it."""
    match avatar.voice_fault:
        case VoiceFault.NOT_DELIVERED | VoiceFault.NONE_CREATED:
            return None
        case VoiceFault.UNKNOWN:
            return UNKNOWN_VOICE_ID
        case VoiceFault.OF_ANOTHER:
            return next((voice_id(other) for other in others if other.id != avatar.id), UNKNOWN_VOICE_ID)
        case _:
            return voice_id(avatar)


def voice_id(avatar: Avatar) -> str:
    """Return the id of the voice of an avatar."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, avatar.id))


def _voice_of(avatar: Avatar, born_seconds: float) -> VoiceBody:
    created_at = avatar.created_at + timedelta(seconds=born_seconds)
    if avatar.voice_fault is VoiceFault.OLDER:
        created_at = avatar.created_at - AGE_OF_OLD_VOICE
    return _body(voice_id(avatar), avatar.args.name, created_at)


def _body(key: str, name: str, created_at: datetime) -> VoiceBody:
    time = created_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "id": key,
        "name": name,
        "createdAt": time,
        "updatedAt": time,
        "status": "READY",
        "sampleUrl": f"https://simulator.invalid/voices/{key}.mp3",
        "language": None,
        "gender": None,
    }


def _validate_clone(body: Any) -> None:
    if not isinstance(body, dict) or not {"name", "audioUrl"} <= body.keys() <= CLONE_FIELDS:
        raise InvalidCreateRequest("the body must be an object of name and audioUrl, and optionally modelId")
    name, url = body["name"], body["audioUrl"]
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_CHARACTERS:
        raise InvalidCreateRequest(f"name must have 1 to {MAX_NAME_CHARACTERS} characters")
    if not isinstance(url, str) or not url.startswith("https://"):
        raise InvalidCreateRequest("audioUrl must be a URL that starts with https://")
