"""How much chaos there was, and what it cost: added up over all tests and workers, told in the end."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

LONG = os.environ.get("AVATARS_CHAOS") == "long"
"""Whether this is the long form (`make chaos`); read before the tests' environment is cleaned."""
TIMEOUT_SECONDS = 1800 if LONG else 120
"""Bounds a hang; on a busy machine one test of the long form takes minutes."""
LEAST_CRASH_POINTS = 1000
LEAST_KILLS = 30
KEY = "chaos"
"""Under which a test's counts travel with its report, from a worker to who started it."""


@dataclass
class Counts:
    """Crash points: processes that were killed at a point chosen for it, each with its recovery judged."""

    crash_points: int = 0
    kills: int = 0
    """Real processes that were killed with SIGKILL."""
    lost: int = 0
    duplicated: int = 0

    def add(self, other: Counts) -> None:
        """Add another's counts."""
        for name, count in asdict(other).items():
            setattr(self, name, getattr(self, name) + count)

    @property
    def told(self) -> str:
        """The counts in one line."""
        return (
            f"crash points {self.crash_points}, kills {self.kills}, lost {self.lost}, duplicated {self.duplicated}"
        )

    @property
    def missing(self) -> list[str]:
        """What the long form still lacks, in words: empty where it was enough and broke nothing."""
        told = {
            f"{LEAST_CRASH_POINTS} crash points are the least": self.crash_points < LEAST_CRASH_POINTS,
            f"{LEAST_KILLS} kills are the least": self.kills < LEAST_KILLS,
            "nothing may be lost": self.lost > 0,
            "nothing may be duplicated": self.duplicated > 0,
        }
        return [words for words, is_so in told.items() if is_so]


TOTAL = Counts()


def reported(properties: list[tuple[str, Any]]) -> Counts:
    """Return the counts that a test's report brings along."""
    total = Counts()
    for key, value in properties:
        if key == KEY:
            total.add(Counts(**value))
    return total
