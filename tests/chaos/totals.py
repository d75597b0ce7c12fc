"""Totals over all fault-injection tests and workers: injected crashes, and lost or duplicated avatars."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

LONG_RUN = os.environ.get("AVATARS_CHAOS") == "long"
"""Whether this is the long run (`make chaos`); read before the fixtures clear the environment."""
CRASH_POINTS = tuple(int(number) for number in os.environ.get("AVATARS_CHAOS_POINTS", "").split(",") if number)
"""The crash points of the only history to run, as a failure of test_crash_points.py names them; empty for all."""
TIMEOUT_SECONDS = 1800 if LONG_RUN else 300
"""Limits a hanging test; on a busy machine one test of the long run takes minutes."""
MIN_CRASH_POINTS = 1000
MIN_KILLS = 30
KEY = "chaos"
"""The user property that carries a test's totals from an xdist worker to the controller."""


@dataclass
class ChaosTotals:
    """Injected crashes, and the violations that were found after recovery."""

    crash_points: int = 0
    """Simulated processes that were killed at a chosen point; the recovery of each was checked."""
    kills: int = 0
    """Real processes that were killed with SIGKILL."""
    lost: int = 0
    duplicated: int = 0

    def add(self, other: ChaosTotals) -> None:
        """Add the counts of other totals."""
        for name, count in asdict(other).items():
            setattr(self, name, getattr(self, name) + count)

    @property
    def summary(self) -> str:
        """The counts as one line."""
        return (
            f"crash points {self.crash_points}, kills {self.kills}, lost {self.lost}, duplicated {self.duplicated}"
        )

    @property
    def shortfalls(self) -> list[str]:
        """The requirements of a long run that are not met; empty if it passed."""
        failed = {
            f"at least {MIN_CRASH_POINTS} crash points are required": self.crash_points < MIN_CRASH_POINTS,
            f"at least {MIN_KILLS} kills are required": self.kills < MIN_KILLS,
            "avatars were lost": self.lost > 0,
            "avatars were duplicated": self.duplicated > 0,
        }
        return [message for message, is_failed in failed.items() if is_failed]


TOTAL = ChaosTotals()


def totals_from_properties(properties: list[tuple[str, Any]]) -> ChaosTotals:
    """Return the totals in the user properties of a test's report."""
    total = ChaosTotals()
    for key, value in properties:
        if key == KEY:
            total.add(ChaosTotals(**value))
    return total
