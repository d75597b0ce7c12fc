"""A simulated Argil on a real socket, whose time is moved by hand, and a caller that knows its key."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from simulator.clock import HandClock
from simulator.server import ArgilSimulator, running_argil

TRAINING_SECONDS = 100.0


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def argil(clock: HandClock) -> Iterator[ArgilSimulator]:
    with running_argil(clock=clock, training_seconds=TRAINING_SECONDS) as running:
        yield running


@pytest.fixture
def caller(argil: ArgilSimulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=argil.api_url, headers={"x-api-key": argil.api_key}) as client:
        yield client


@pytest.fixture(scope="session")
def shared_caller() -> Iterator[httpx.Client]:
    """A caller of one simulator for all tests that care for the answer alone and not for what was before."""
    with (
        running_argil() as argil,
        httpx.Client(base_url=argil.api_url, headers={"x-api-key": argil.api_key}) as client,
    ):
        yield client
