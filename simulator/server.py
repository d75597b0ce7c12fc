"""Runs the simulated Argil API on loopback in this process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from simulator.account import SimulatedAccount
from simulator.argil_app import create_app
from simulator.connection_drop import DroppableProtocol
from simulator.scenarios import Timing
from simulator.uvicorn_thread import serve_in_thread


@dataclass(frozen=True)
class ArgilSimulator:
    """A running simulator: its URL, its API key and its account."""

    api_url: str
    api_key: str
    account: SimulatedAccount

    def avatars_with_extra(self, key: str, value: str) -> list[dict[str, Any]]:
        """Return the avatars whose extras contain this pair, oldest first."""
        return [avatar for avatar in self.account.avatars if avatar["extras"].get(key) == value]


@contextlib.contextmanager
def run_argil(
    *,
    api_key: str = "simulator-key",
    port: int = 0,
    clock: Callable[[], float] = time.monotonic,
    **timing_seconds: float,
) -> Iterator[ArgilSimulator]:
    """Serve a new account while the context is open.

    Args:
        api_key: The API key that the simulator accepts.
        port: The port to listen on; 0 selects a free one.
        clock: Returns monotonic seconds; it determines the age of the avatars.
        timing_seconds: Fields of Timing, for example `training_seconds=60`.

    Raises:
        OSError: The port is in use.
    """
    account = SimulatedAccount(Timing(**timing_seconds), clock=clock)
    with serve_in_thread(create_app(account, api_key=api_key), port=port, http=DroppableProtocol) as url:
        yield ArgilSimulator(f"{url}/v1", api_key, account)
