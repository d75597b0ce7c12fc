"""Fixtures: a simulated Argil on a real socket with a manual clock, and an authenticated client."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from simulator.clock import ManualClock
from simulator.server import ArgilSimulator, run_argil

TRAINING_SECONDS = 100.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def argil(clock: ManualClock) -> Iterator[ArgilSimulator]:
    with run_argil(clock=clock, training_seconds=TRAINING_SECONDS) as running:
        yield running


@pytest.fixture
def caller(argil: ArgilSimulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=argil.api_url, headers={"x-api-key": argil.api_key}) as client:
        yield client


@pytest.fixture(scope="session")
def shared_caller() -> Iterator[httpx.Client]:
    """A client of one simulator, shared by all tests that do not depend on earlier requests."""
    with (
        run_argil() as argil,
        httpx.Client(base_url=argil.api_url, headers={"x-api-key": argil.api_key}) as client,
    ):
        yield client
