"""The input and output of a baseline."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_CONCURRENT_CREATES = 20
SERVED_DEPLOYMENT = "provision-served/plain"
"""The flow and the deployment of prefect_serve.py."""
TERMINAL_STATUSES = ("IDLE", "TRAINING_FAILED", "REFUSED")


@dataclass(frozen=True)
class Job:
    """Provision `count` avatars through the API at `url`, polling each every `poll_seconds`."""

    url: str
    key: str
    count: int
    poll_seconds: float
    folder: Path
    detected_at: dict[str, float] = field(default_factory=dict)
    """By avatar id: the wall time, in seconds, at which its terminal status was detected and recorded."""

    @classmethod
    def from_environment(cls) -> Job:
        """Read the job from the environment that `Implementation.settings` returns."""
        return cls(
            os.environ["ARGIL_API_URL"],
            os.environ["ARGIL_API_KEY"],
            int(os.environ["BENCHMARK_COUNT"]),
            float(os.environ["BENCHMARK_POLL_SECONDS"]),
            Path(os.environ["BENCHMARK_FOLDER"]),
        )

    def body(self, number: int) -> dict[str, Any]:
        """Return the body of the create request of one avatar."""
        return {
            "name": f"avatar {number}",
            "datasetVideo": {"url": "https://example.com/dataset.mp4"},
            "consentVideo": {"url": "https://example.com/consent.mp4"},
            "extras": {"number": str(number)},
        }

    def save(self) -> None:
        """Write the detection times to detected.json."""
        (self.folder / "detected.json").write_text(json.dumps(self.detected_at))
