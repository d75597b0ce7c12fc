"""Voices that are cloned for image requests: the recorded intent, its states, and the name of its voice.

Argil's POST /voices has no idempotency key. The name of a cloned voice ends in the id of its intent, so a voice
whose creation got no answer is found by its exact name, and never confused with that of a namesake.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from models.provisioning import SubmissionState

MAX_VOICE_NAME_CHARACTERS = 256
UNRESOLVED_CLONES = frozenset({SubmissionState.PENDING, SubmissionState.UNKNOWN})
OPEN_CLONES = frozenset({*UNRESOLVED_CLONES, SubmissionState.CREATED})
"""The states in which no other voice may be cloned from the same sample for the same provisioning."""


class VoiceClone(BaseModel):
    """One POST /voices, recorded before it is sent. Its states are those of a submission."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    id: str
    sample_sha256: str
    """Digest of the canonical form of the sample's address."""
    name: str | None
    """The name of the voice; None after an erasure."""
    state: SubmissionState
    voice_id: str | None
    created_at: datetime


def clone_name(avatar_name: str, clone_id: str) -> str:
    """Return the name of the voice that an intent clones: it ends in the id of the intent."""
    return f"{avatar_name[: MAX_VOICE_NAME_CHARACTERS - len(clone_id) - 1]} {clone_id}"


def clones_of_sample(clones: Sequence[VoiceClone], sample_sha256: str) -> list[VoiceClone]:
    """Return the intents for one sample, in their order."""
    return [clone for clone in clones if clone.sample_sha256 == sample_sha256]
