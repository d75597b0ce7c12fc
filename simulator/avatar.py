"""One simulated avatar and its response bodies at a given age."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from simulator.scenarios import IDLE, Scenario, Stages, Timing, VoiceFault
from simulator.validation import CreateArgs

WIDTH = 1920
HEIGHT = 1080
ORIENTATION = "ASPECT_RATIO_16_9"
MODEL = "ARGIL_V1"


@dataclass(frozen=True, slots=True)
class Avatar:
    """A created avatar. It stores no status: its state is computed from its age in seconds."""

    id: str
    args: CreateArgs
    scenarios: tuple[Scenario, ...]
    stages: Stages
    created_monotonic: float
    """The time of the monotonic clock at the create."""
    created_at: datetime

    def training_seconds(self, timing: Timing) -> float:
        """Return how long the training takes: that of an image takes seconds."""
        return timing.image_training_seconds if self.args.is_image else timing.training_seconds

    @property
    def voice_fault(self) -> VoiceFault | None:
        """What is wrong with its voice; None if nothing is."""
        return next((scenario.voice_fault for scenario in self.scenarios if scenario.voice_fault), None)

    def created_body(self, timing: Timing) -> dict[str, Any]:
        """Return the body of the create response: always the first stage, even if it lasts no time."""
        return self._changed(self._body(*self.stages[0], training_seconds=0.0), 0.0, timing)

    def body(self, age_seconds: float, timing: Timing) -> dict[str, Any]:
        """Return the response body for this avatar at an age."""
        seconds = self.training_seconds(timing)
        share, status = next(stage for stage in reversed(self.stages) if stage[0] * seconds <= age_seconds)
        return self._body(share, status, training_seconds=seconds)

    def shown_body(self, age_seconds: float, timing: Timing) -> dict[str, Any]:
        """Return the response body, as scenarios change it until `list_lag_seconds` after the create."""
        return self._changed(self.body(age_seconds, timing), age_seconds, timing)

    def list_headers(self, age_seconds: float, timing: Timing) -> dict[str, str]:
        """Return the headers that the list has while it omits this avatar."""
        return {
            name: value
            for scenario in self.scenarios
            if scenario.list_hides and scenario.list_hides(age_seconds, timing)
            for name, value in scenario.list_headers
        }

    def hidden_from_get(self, age_seconds: float, timing: Timing) -> bool:
        """Return whether GET /avatars/{id} answers 404."""
        return any(scenario.get_hides(age_seconds, timing) for scenario in self.scenarios if scenario.get_hides)

    def hidden_from_list(self, age_seconds: float, timing: Timing) -> bool:
        """Return whether GET /avatars omits the avatar."""
        return any(scenario.list_hides(age_seconds, timing) for scenario in self.scenarios if scenario.list_hides)

    def _changed(self, body: dict[str, Any], age_seconds: float, timing: Timing) -> dict[str, Any]:
        changes = [scenario.early_body for scenario in self.scenarios if scenario.early_body]
        for change in changes if age_seconds < timing.list_lag_seconds else ():
            body = change(body)
        return body

    def _body(self, share: float, status: str, *, training_seconds: float) -> dict[str, Any]:
        body = {
            "id": self.id,
            "name": self.args.name,
            "actorName": self.args.name,
            "createAt": _format_datetime(self.created_at),
            "updatedAt": _format_datetime(self.created_at + timedelta(seconds=share * training_seconds)),
            "status": status,
            "extras": self.args.extras,
        }
        # Null is not documented: the fields that a training produces are absent until it succeeds.
        return body | self._trained_fields() if status == IDLE else body

    def _trained_fields(self) -> dict[str, Any]:
        return {
            "gestures": [{"label": "Wave", "slug": "wave", "startFrame": 42}],
            "width": WIDTH,
            "height": HEIGHT,
            "thumbnailUrl": f"https://simulator.invalid/{self.id}/thumbnail.jpg",
            "coverImageUrl": f"https://simulator.invalid/{self.id}/cover.jpg",
            "orientation": ORIENTATION,
            "model": MODEL,
        }


def _format_datetime(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
