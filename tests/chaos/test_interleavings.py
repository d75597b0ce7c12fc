"""The ledger's guarantees hold for any interleaving of requests, processes, crashes, faults, schedules and time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.chaos.deterministic_scheduler import SimulatedProcess
from tests.chaos.fakes import EXPIRED, ExpiringMediaChecker
from tests.chaos.fault_transport import FAULTS, Fault
from tests.chaos.invariants import all_terminal, check_invariants
from tests.chaos.simulation import (
    GRACE_SECONDS,
    IMAGE_PREFIX,
    LAG_SECONDS,
    SCHEDULES,
    SIGNED,
    Job,
    SimulatedRequest,
    Simulation,
    cancel,
    provision,
    resume,
    retry,
)
from tests.chaos.totals import LONG_RUN, TIMEOUT_SECONDS

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("deterministic"), pytest.mark.timeout(TIMEOUT_SECONDS)]

EXAMPLES, STEPS = (400, 80) if LONG_RUN else (25, 40)
MAX_PROCESSES = 5
MAX_RUNS = 25
SCENARIOS = (
    "",
    "fail",
    "refuse",
    "cut-after-create",
    "cut-after-create,list-lag",
    "error-after-create,late-get",
    "cut-before-create",
    "unavailable",
    "rate-limited,cut-after-create",
    "invalid",
    "never",
    "flaky-polls",
    "unknown-status",
    "gateway-page-after-create",
    "cache-page-after-create,list-lag",
    "challenge",
    "error-in-success",
    "error-in-success-after-create",
    "empty-success,null-status",
    "other-avatar,numeric-id",
    "truncated,paged-list",
    "damaged-gzip",
    "no-path",
    "redirect",
    "other-polls",
    "gateway-polls",
    f"{IMAGE_PREFIX}",
    f"{IMAGE_PREFIX}fail",
    f"{IMAGE_PREFIX}refuse",
    f"{IMAGE_PREFIX}cut-after-create,list-lag",
    f"{IMAGE_PREFIX}invalid",
)
QUERIES = ("", SIGNED, SIGNED, EXPIRED)
REPEATED_JOBS = (provision, resume, retry, cancel)
HIDDEN = "list"
"""Part of the names of the scenarios that hide an avatar from the list."""
Result = TypeVar("Result")
process_index = st.integers(0, MAX_PROCESSES - 1)


class Interleavings(RuleBasedStateMachine):
    """Each rule is one action; between two rules every process is suspended."""

    fresh_ledger_file: ClassVar[Callable[[], Path]]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.simulation: Simulation
        self.retrain_runs: list[Job] = []

    def do(self, work: Awaitable[Result]) -> Result:
        async def run() -> Result:
            return await work

        return self.loop.run_until_complete(run())

    def start(self, work: Job, same_process: bool) -> None:
        """Start work in a new process, or in one that already runs other work."""
        process = self.simulation.live_processes[0] if same_process and self.simulation.live_processes else None
        self.do(self.simulation.start(work, process))

    def pick_process(self, index: int) -> SimulatedProcess:
        return self.simulation.live_processes[index % len(self.simulation.live_processes)]

    @property
    def is_busy(self) -> bool:
        return bool(self.simulation.live_processes)

    @property
    def has_room(self) -> bool:
        return len(self.simulation.live_processes) < MAX_PROCESSES

    @property
    def has_requests(self) -> bool:
        return bool(self.simulation.requests)

    @initialize(
        retrain_limit=st.integers(0, 1), lag=st.sampled_from([LAG_SECONDS, LAG_SECONDS, 2.5 * GRACE_SECONDS])
    )
    def set_up(self, retrain_limit: int, lag: float) -> None:
        async def create() -> Simulation:
            return Simulation(type(self).fresh_ledger_file(), list_lag_seconds=lag, retrain_limit=retrain_limit)

        self.simulation = self.do(create())
        checked = {"avatars_media_check": "strict"}  # with ExpiringMediaChecker
        self.simulation.settings = self.simulation.settings.model_copy(update=checked)

    @precondition(lambda self: self.has_room)
    @rule(scenario=st.sampled_from(SCENARIOS), query=st.sampled_from(QUERIES), same_process=st.booleans())
    def submit_request(self, scenario: str, query: str, same_process: bool) -> None:
        name = f"avatar-{len(self.simulation.requests)}"
        self.simulation.request(name, scenario)
        self.start(provision(self.simulation.sign(name, query)), same_process)

    @precondition(lambda self: self.has_room and self.has_requests)
    @rule(index=process_index, query=st.sampled_from(QUERIES), same_process=st.booleans())
    def sign_again(self, index: int, query: str, same_process: bool) -> None:
        """Send an earlier request with other signatures."""
        self.start(provision(self.simulation.sign(self.pick_name(index), query)), same_process)

    @precondition(lambda self: self.has_room and self.has_requests)
    @rule(index=process_index, make_job=st.sampled_from(REPEATED_JOBS), same_process=st.booleans())
    def retry_resume_or_cancel(
        self, index: int, make_job: Callable[[SimulatedRequest], Job], same_process: bool
    ) -> None:
        """Repeat, resume, retry or cancel an earlier request."""
        self.start(
            make_job(list(self.simulation.requests.values())[index % len(self.simulation.requests)]), same_process
        )

    def pick_name(self, index: int) -> str:
        return list(self.simulation.requests)[index % len(self.simulation.requests)]

    @precondition(lambda self: self.has_room and self.has_requests)
    @rule(index=process_index, same_process=st.booleans())
    def correct_request(self, index: int, same_process: bool) -> None:
        """Send a request with another recording for the reference of an earlier one."""
        self.start(provision(self.simulation.correct(self.pick_name(index))), same_process)

    @precondition(lambda self: self.has_room and self.has_requests)
    @rule(index=process_index, is_recorded_again=st.booleans(), same_process=st.booleans())
    def retrain(self, index: int, is_recorded_again: bool, same_process: bool) -> None:
        """Let another person retrain an earlier request; it has an effect only if it failed or waits."""
        job = self.simulation.retrain(self.pick_name(index), is_recorded_again=is_recorded_again)
        self.retrain_runs.append(job)
        self.start(job, same_process)

    @precondition(lambda self: self.has_room and self.retrain_runs)
    @rule(index=process_index, same_process=st.booleans())
    def press_retry(self, index: int, same_process: bool) -> None:
        """Start a run of a retrain again, as Retry in Prefect's UI does."""
        self.start(self.retrain_runs[index % len(self.retrain_runs)], same_process)

    @precondition(lambda self: self.has_room)
    @rule(schedule=st.sampled_from(SCHEDULES), same_process=st.booleans())
    def run_schedule(self, schedule: Job, same_process: bool) -> None:
        """Run one schedule."""
        self.start(schedule, same_process)

    @precondition(lambda self: self.is_busy)
    @rule(index=process_index, steps=st.integers(1, 12))
    def step_process(self, index: int, steps: int) -> None:
        """Run one process for some steps while the others are paused."""
        process = self.pick_process(index)
        for _ in range(steps):
            if runnable := self.simulation.scheduler.runnable(process):
                self.do(self.simulation.scheduler.step(runnable[0]))

    @precondition(lambda self: self.is_busy)
    @rule(steps=st.integers(1, 60))
    def step_all(self, steps: int) -> None:
        """Run all processes for some steps, advancing time."""
        for _ in range(steps):
            if self.is_busy:
                self.do(self.simulation.scheduler.step_next())

    @precondition(lambda self: self.is_busy)
    @rule(index=process_index)
    def kill(self, index: int) -> None:
        self.do(self.simulation.scheduler.kill(self.pick_process(index)))

    @rule(fault=st.sampled_from(FAULTS))
    def fail_next_request(self, fault: Fault) -> None:
        self.simulation.faults.append(fault)

    @rule()
    def fail_next_write(self) -> None:
        self.simulation.failing_writes = 1

    @rule(seconds=st.sampled_from([1.0, 6.0, 11.0, 31.0, 61.0, 130.0, 700.0]))
    def advance_time(self, seconds: float) -> None:
        """Advance the time while all processes are paused."""
        self.do(self.simulation.scheduler.advance_time(seconds))

    @invariant()
    def no_avatar_is_duplicated(self) -> None:
        if not hasattr(self, "simulation"):
            return
        self.simulation.raise_unexpected()
        limit, retrains = self.simulation.settings.avatars_retrain_limit, self.simulation.retrains
        created = Counter(avatar["name"] for avatar in self.simulation.account.avatars)
        assert not [
            name
            for name, count in created.items()
            if count > 1 + limit + retrains[name] and not self.is_hidden(name)
        ]

    def is_hidden(self, name: str) -> bool:
        """Return whether Argil's list hides the avatar for longer than the grace period of the lookup."""
        lag = self.simulation.account.timing.list_lag_seconds
        return lag > GRACE_SECONDS and HIDDEN in self.simulation.requests[name].extras.get("simulator", "")

    def teardown(self) -> None:
        if hasattr(self, "simulation"):
            try:
                self.do(self.recover())
            finally:
                self.do(self.simulation.close())
        self.loop.close()

    async def recover(self) -> None:
        """Stop all faults and requests, run the schedules until nothing is in flight, and check the invariants."""
        self.simulation.faults.clear()
        self.simulation.failing_writes = 0
        await self.simulation.scheduler.run(*self.simulation.live_processes)
        runs_at_rest = 0
        for _ in range(MAX_RUNS):
            await self.simulation.run_schedules()
            runs_at_rest = runs_at_rest + 1 if await all_terminal(self.simulation.reader) else 0
            if runs_at_rest == 2:  # the second one records late outcomes, or submits what an error had stopped
                break
        violations = await check_invariants(
            self.simulation.reader, self.simulation.account, self.simulation.retrains
        )
        violations.duplicated = [text for text in violations.duplicated if not self.is_hidden(text.split()[0])]
        assert not violations, violations


def test_guarantees_hold_for_any_interleaving(
    fresh_ledger_file: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.context.MediaChecker", ExpiringMediaChecker)

    class BoundInterleavings(Interleavings):
        pass

    BoundInterleavings.fresh_ledger_file = staticmethod(fresh_ledger_file)
    run_state_machine_as_test(
        BoundInterleavings,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=not LONG_RUN,
            database=None,
            deadline=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
