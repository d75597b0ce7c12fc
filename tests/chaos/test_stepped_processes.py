"""Real processes whose wall clock is set forward or back by libfaketime (`apt-get install faketime`)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.server import ArgilSimulator, run_argil
from tests.stack import wait_for

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
STEPS = ("+7200", "-7200")
"""Steps of the wall clock, in seconds, as libfaketime reads them."""
GRACE_SECONDS = 6.0
LAG_SECONDS = 4.0
"""How long the list does not show a new avatar: most of the grace period."""
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not LIBRARIES, reason="libfaketime is missing: apt-get install faketime"),
]


class SteppedClock:
    """The wall clock of the processes that start with `environment`; their monotonic clock does not step."""

    def __init__(self, folder: Path) -> None:
        self._offset = folder / "offset"
        self.step("+0")
        self.environment = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, offset: str) -> None:
        written = self._offset.with_suffix(".new")
        written.write_text(offset)
        written.replace(self._offset)


@pytest.fixture
def stepped(tmp_path: Path) -> SteppedClock:
    return SteppedClock(tmp_path)


@pytest.fixture
def argil() -> Iterator[ArgilSimulator]:
    with run_argil(training_seconds=1.0, list_lag_seconds=LAG_SECONDS) as running:
        yield running


@pytest.fixture
def environment(argil: ArgilSimulator, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "ARGIL_API_URL": argil.api_url,
        "ARGIL_API_KEY": argil.api_key,
        "AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}",
        "AVATARS_MEDIA_CHECK": "off",
        "AVATARS_POLL_MIN_SECONDS": "0.2",
        "AVATARS_LOOKUP_GRACE_SECONDS": str(GRACE_SECONDS),
    }


def start(environment: dict[str, str], scenario: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.clock_worker", "ada", scenario],
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )


def wait_for_post(argil: ArgilSimulator) -> None:
    wait_for(lambda: argil.account.posts or None, "the create request")


@pytest.mark.parametrize("step", STEPS)
def test_step_during_a_lookup_creates_one_avatar(
    argil: ArgilSimulator, environment: dict[str, str], stepped: SteppedClock, step: str
) -> None:
    process = start(environment | stepped.environment, "error-after-create,list-lag")
    wait_for_post(argil)
    stepped.step(step)
    out, _ = process.communicate()
    assert (out.strip(), len(argil.account.avatars)) == ("Ready", 1)


@pytest.mark.parametrize("offset", STEPS)
def test_lease_of_a_process_with_another_clock_blocks_no_one(
    argil: ArgilSimulator, environment: dict[str, str], stepped: SteppedClock, offset: str
) -> None:
    """The clock is corrected by two hours after `kill -9`: the next process neither waits nor pays again."""
    stepped.step(offset)
    process = start(environment | stepped.environment)
    wait_for_post(argil)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    out, _ = start(environment).communicate()
    assert (out.strip(), len(argil.account.avatars)) == ("Ready", 1)
