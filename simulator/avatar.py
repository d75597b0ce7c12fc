"""One avatar: what Argil tells of it at a given age."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from simulator.scenarios import IDLE, Scenario, Stages, Timing
from simulator.validation import CreateArgs

WIDTH = 1920
HEIGHT = 1080
ORIENTATION = "ASPECT_RATIO_16_9"
MODEL = "ARGIL_V1"


@dataclass(frozen=True, slots=True)
class Avatar:
    """A created avatar. It keeps no status: everything follows from its age, in seconds."""

    id: str
    args: CreateArgs
    scenarios: tuple[Scenario, ...]
    stages: Stages
    born: float
    """The monotonic clock's reading at the create."""
    created_at: datetime

    def newborn(self) -> dict[str, Any]:
        """Return the body of the create's answer: the first stage, however short it is."""
        return self._body(*self.stages[0], training_seconds=0.0)

    def body(self, age_seconds: float, timing: Timing) -> dict[str, Any]:
        """Return the body of an answer about this avatar."""
        share, status = next(
            stage for stage in reversed(self.stages) if stage[0] * timing.training_seconds <= age_seconds
        )
        return self._body(share, status, training_seconds=timing.training_seconds)

    def get_hides(self, age_seconds: float, timing: Timing) -> bool:
        """Tell whether GET /avatars/{id} denies it."""
        return any(each.get_hides(age_seconds, timing) for each in self.scenarios if each.get_hides)

    def list_hides(self, age_seconds: float, timing: Timing) -> bool:
        """Tell whether GET /avatars leaves it out."""
        return any(each.list_hides(age_seconds, timing) for each in self.scenarios if each.list_hides)

    def _body(self, share: float, status: str, *, training_seconds: float) -> dict[str, Any]:
        body = {
            "id": self.id,
            "name": self.args.name,
            "actorName": self.args.name,
            "createAt": _date_time(self.created_at),
            "updatedAt": _date_time(self.created_at + timedelta(seconds=share * training_seconds)),
            "status": status,
            "extras": self.args.extras,
        }
        # The document knows no null: what only a training yields is absent before its end.
        return body | self._yield() if status == IDLE else body

    def _yield(self) -> dict[str, Any]:
        return {
            "gestures": [{"label": "Wave", "slug": "wave", "startFrame": 42}],
            "width": WIDTH,
            "height": HEIGHT,
            "thumbnailUrl": f"https://simulator.invalid/{self.id}/thumbnail.jpg",
            "coverImageUrl": f"https://simulator.invalid/{self.id}/cover.jpg",
            "orientation": ORIENTATION,
            "model": MODEL,
        }


def _date_time(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
