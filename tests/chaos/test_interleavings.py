"""Any interleaving of requests, drivers, crashes, faults, schedules and time: what the ledger promises holds."""

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

from models.request import ProvisioningRequest
from tests.chaos.audit import audit, is_settled
from tests.chaos.conductor import Process
from tests.chaos.counts import LONG, TIMEOUT_SECONDS
from tests.chaos.line import FAULTS, Fault
from tests.chaos.world import GRACE_SECONDS, LAG_SECONDS, TICKS, Work, World, cancel, provision, resume

pytestmark = [pytest.mark.usefixtures("in_turns"), pytest.mark.timeout(TIMEOUT_SECONDS)]

EXAMPLES, STEPS = (400, 80) if LONG else (25, 40)
MOST_ALIVE = 5
MOST_TICKS = 25
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
)
HIDDEN = "list-lag"
Result = TypeVar("Result")
which = st.integers(0, MOST_ALIVE - 1)


class Interleavings(RuleBasedStateMachine):
    """Each rule is one move of somebody; between two of them every process waits for its turn."""

    new_ledger: ClassVar[Callable[[], Path]]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world: World

    def do(self, work: Awaitable[Result]) -> Result:
        async def done() -> Result:
            return await work

        return self.loop.run_until_complete(done())

    def start(self, work: Work, beside: bool) -> None:
        """Start some work in a process of its own, or beside the work of another one."""
        process = self.world.alive[0] if beside and self.world.alive else None
        self.do(self.world.start(work, process))

    def one_of(self, which: int) -> Process:
        return self.world.alive[which % len(self.world.alive)]

    @property
    def is_busy(self) -> bool:
        return bool(self.world.alive)

    @property
    def has_room(self) -> bool:
        return len(self.world.alive) < MOST_ALIVE

    @property
    def has_asked(self) -> bool:
        return bool(self.world.requests)

    @initialize(retrains=st.integers(0, 1), lag=st.sampled_from([LAG_SECONDS, LAG_SECONDS, 2.5 * GRACE_SECONDS]))
    def begin(self, retrains: int, lag: float) -> None:
        async def made() -> World:
            return World(type(self).new_ledger(), list_lag_seconds=lag, retrain_limit=retrains)

        self.world = self.do(made())

    @precondition(lambda self: self.has_room)
    @rule(scenario=st.sampled_from(SCENARIOS), beside=st.booleans())
    def ask(self, scenario: str, beside: bool) -> None:
        request = self.world.ask(f"avatar-{len(self.world.requests)}", scenario)
        self.start(provision(request), beside)

    @precondition(lambda self: self.has_room and self.has_asked)
    @rule(which=which, how=st.sampled_from([provision, resume, cancel]), beside=st.booleans())
    def come_back(self, which: int, how: Callable[[ProvisioningRequest], Work], beside: bool) -> None:
        """Ask again, drive on or cancel what was asked for before."""
        self.start(how(list(self.world.requests.values())[which % len(self.world.requests)]), beside)

    @precondition(lambda self: self.has_room)
    @rule(tick=st.sampled_from(TICKS), beside=st.booleans())
    def fire(self, tick: Work, beside: bool) -> None:
        """Let a schedule fire."""
        self.start(tick, beside)

    @precondition(lambda self: self.is_busy)
    @rule(which=which, turns=st.integers(1, 12))
    def go_on(self, which: int, turns: int) -> None:
        """Let one process go on, the others standing still."""
        process = self.one_of(which)
        for _ in range(turns):
            if could := self.world.conductor.of(process):
                self.do(self.world.conductor.turn(could[0]))

    @precondition(lambda self: self.is_busy)
    @rule(turns=st.integers(1, 60))
    def all_go_on(self, turns: int) -> None:
        """Let all go on as time passes."""
        for _ in range(turns):
            if self.is_busy:
                self.do(self.world.conductor.turn_of_next())

    @precondition(lambda self: self.is_busy)
    @rule(which=which)
    def kill(self, which: int) -> None:
        self.do(self.world.conductor.kill(self.one_of(which)))

    @rule(fault=st.sampled_from(FAULTS))
    def next_request_meets(self, fault: Fault) -> None:
        self.world.faults.append(fault)

    @rule()
    def next_write_fails(self) -> None:
        self.world.ledger_fails = 1

    @rule(seconds=st.sampled_from([1.0, 6.0, 11.0, 31.0, 61.0, 130.0, 700.0]))
    def stand_still(self, seconds: float) -> None:
        """Let time pass while every process is held up."""
        self.do(self.world.conductor.pass_(seconds))

    @invariant()
    def nothing_is_paid_twice(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.raise_what_failed()
        wanted = dict.fromkeys(self.world.requests, 1 + self.world.settings.avatars_retrain_limit)
        made = Counter(avatar["name"] for avatar in self.world.account.avatars)
        assert not [name for name, count in made.items() if count > wanted[name] and not self.is_hidden(name)]

    def is_hidden(self, name: str) -> bool:
        """Whether Argil's list hides an avatar for longer than anybody looks for it."""
        lag = self.world.account.timing.list_lag_seconds
        return lag > GRACE_SECONDS and HIDDEN in self.world.requests[name].extras.get("simulator", "")

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.do(self.recover())
            finally:
                self.do(self.world.close())
        self.loop.close()

    async def recover(self) -> None:
        """Let faults and people rest, and the schedules work until nothing is left to do; then judge."""
        self.world.faults.clear()
        self.world.ledger_fails = 0
        await self.world.conductor.run(*self.world.alive)
        for _ in range(MOST_TICKS):
            await self.world.tick()
            if await is_settled(self.world.reader):
                break
        await self.world.tick()  # what came late is noted
        verdict = await audit(self.world.reader, self.world.account)
        verdict.duplicated = [each for each in verdict.duplicated if not self.is_hidden(each.split()[0])]
        assert not verdict, verdict


def test_no_interleaving_breaks_what_the_ledger_promises(new_ledger: Callable[[], Path]) -> None:
    class Here(Interleavings):
        pass

    Here.new_ledger = staticmethod(new_ledger)
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=not LONG,
            database=None,
            deadline=None,
            print_blob=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
