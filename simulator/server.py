"""Runs the simulated Argil API on loopback, in this process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from simulator.argil import create_app
from simulator.cutting import CuttableProtocol
from simulator.scenarios import Timing
from simulator.serving import serving
from simulator.world import World


@dataclass(frozen=True)
class ArgilSimulator:
    """A running simulator: where it is, the key it takes, and the world it serves."""

    api_url: str
    api_key: str
    world: World

    def avatars_with_extra(self, key: str, value: str) -> list[dict[str, Any]]:
        """Return the avatars whose extras hold this pair, oldest first."""
        return [avatar for avatar in self.world.avatars if avatar["extras"].get(key) == value]


@contextlib.contextmanager
def running_argil(
    *,
    api_key: str = "simulator-key",
    port: int = 0,
    clock: Callable[[], float] = time.monotonic,
    **timing_seconds: float,
) -> Iterator[ArgilSimulator]:
    """Serve a new world while the context is open.

    `port` 0 takes a free one. `clock` tells monotonic seconds: avatars age by it. `timing_seconds` are fields of
    Timing, such as `training_seconds=60`. Raises OSError where the port is taken.
    """
    world = World(Timing(**timing_seconds), clock=clock)
    with serving(create_app(world, api_key=api_key), port=port, http=CuttableProtocol) as url:
        yield ArgilSimulator(f"{url}/v1", api_key, world)
