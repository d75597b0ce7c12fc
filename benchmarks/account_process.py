"""A simulated Argil account whose trainings end on command: `python -m benchmarks.account_process COUNT ENDING`.

It prints a line of JSON with the settings and the ids of its avatars. At the first line on its standard input, the
first ENDING trainings end; at the end of its input, the process does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.process_metrics import pinned_to_core
from benchmarks.seed_ledger import NAME
from benchmarks.seed_trainings import training_submission_id
from benchmarks.simulator_process import SERVER_CORE, SimulatorProcess
from models.request_fields import SUBMISSION_ID_EXTRA
from simulator.scenarios import SCENARIO_EXTRA, parse_scenarios
from simulator.server import run_argil
from simulator.validation import CreateArgs

TRAINING_SECONDS = 7200.0
RECORDINGS = ("https://videos.example/dataset.mp4", "https://videos.example/consent.mp4")
STOP_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class AccountProcess:
    """A running account with the avatars in the order of their numbers."""

    simulator: SimulatorProcess
    avatar_ids: Sequence[str]
    _process: subprocess.Popen[str]

    def end_trainings(self) -> None:
        """End the trainings that are to end. Raises RuntimeError if the process has exited."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the account has no pipes")
        print(file=stdin, flush=True)
        if not stdout.readline():
            raise RuntimeError("the simulated account exited")


@contextmanager
def run_account(count: int, ending: int) -> Iterator[AccountProcess]:
    """Run an account with `count` avatars in training while the context is open.

    Args:
        count: Avatars in training.
        ending: How many of them end on command; the others never end.

    Raises:
        RuntimeError: The process did not start.
    """
    args = [sys.executable, "-m", "benchmarks.account_process", str(count), str(ending)]
    with pinned_to_core(SERVER_CORE):
        process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError("the simulated account did not start")
        printed = json.loads(line)
        simulator = SimulatorProcess(printed["settings"], [], TRAINING_SECONDS)
        try:
            yield AccountProcess(simulator, printed["avatar_ids"], process)
        finally:
            process.terminate()
            process.wait(STOP_TIMEOUT_SECONDS)


class _SteppedClock:
    """The monotonic clock of this machine, which can be set forward."""

    def __init__(self) -> None:
        self.added_seconds = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.added_seconds


def _serve(count: int, ending: int) -> None:
    clock = _SteppedClock()
    with run_argil(clock=clock, training_seconds=TRAINING_SECONDS) as argil:
        for number in range(count):
            scenario = "" if number < ending else "never"
            extras = {SUBMISSION_ID_EXTRA: training_submission_id(number), SCENARIO_EXTRA: scenario}
            argil.account.create(CreateArgs(NAME, RECORDINGS, extras), parse_scenarios(scenario))
        clock.added_seconds += TRAINING_SECONDS / 2  # from NOT_TRAINED to TRAINING, the status in the ledger
        settings = {"ARGIL_API_URL": argil.api_url, "ARGIL_API_KEY": argil.api_key}
        avatar_ids = [avatar["id"] for avatar in argil.account.avatars]
        print(json.dumps({"settings": settings, "avatar_ids": avatar_ids}), flush=True)
        for _line in sys.stdin:
            clock.added_seconds += TRAINING_SECONDS
            print("ended", flush=True)


if __name__ == "__main__":
    _serve(*map(int, sys.argv[1:]))
