"""What a peer is asked to do, and how it tells what came of it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CREATES_AT_ONCE = 20
ENDED = ("IDLE", "TRAINING_FAILED", "REFUSED")


@dataclass(frozen=True)
class Job:
    """So many avatars, by the API at `url`, and a look each `poll_seconds`; `done` writes down what was noticed."""

    url: str
    key: str
    count: int
    poll_seconds: float
    folder: Path
    noticed: dict[str, float] = field(default_factory=dict)
    """By avatar id: the wall time, in seconds, at which its end was known and recorded."""

    @classmethod
    def given(cls) -> Job:
        """Read it from the environment."""
        return cls(
            os.environ["ARGIL_API_URL"],
            os.environ["ARGIL_API_KEY"],
            int(os.environ["BENCHMARK_COUNT"]),
            float(os.environ["BENCHMARK_POLL_SECONDS"]),
            Path(os.environ["BENCHMARK_FOLDER"]),
        )

    def body(self, number: int) -> dict[str, Any]:
        """Return the create of one avatar."""
        return {
            "name": f"avatar {number}",
            "datasetVideo": {"url": "https://example.com/dataset.mp4"},
            "consentVideo": {"url": "https://example.com/consent.mp4"},
            "extras": {"number": str(number)},
        }

    def done(self) -> None:
        """Write down what was noticed."""
        (self.folder / "noticed.json").write_text(json.dumps(self.noticed))
