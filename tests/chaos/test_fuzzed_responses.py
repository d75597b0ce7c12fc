"""Fuzzed responses never create an avatar twice, and never record what the account does not show."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.provisioning import Provisioning, Status
from tests.chaos import response_faults as changes
from tests.chaos.fault_transport import Fault
from tests.chaos.invariants import MAX_PROVISIONINGS, all_terminal, check_invariants
from tests.chaos.simulation import Simulation, provision
from tests.chaos.totals import LONG_RUN, TIMEOUT_SECONDS

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("deterministic"), pytest.mark.timeout(TIMEOUT_SECONDS)]

EXAMPLES = 3000 if LONG_RUN else 60
MAX_READ_FAULTS = 4
REPETITIONS = (1, 3, 15)
"""How often a read fails in a row; the longest outlasts the grace period of a lookup."""
MAX_RUNS = 15
RAW_STATUSES = {Status.READY: "IDLE", Status.TRAINING_FAILED: "TRAINING_FAILED", Status.REFUSED: "REFUSED"}
FINAL_STATUSES = {"": Status.READY, "fail": Status.TRAINING_FAILED, "refuse": Status.REFUSED}

_STATUS_FIELDS: st.SearchStrategy[object] = st.sampled_from([None, 7, "", "QUEUED", [], 1.5, "x" * 300])
_CHANGES = st.one_of(
    st.sampled_from(list(changes.CHANGES.values())),
    st.sampled_from(changes.PAGE_STATUSES).map(changes.page),
    st.sampled_from(changes.BARE_STATUSES).map(changes.bare),
    st.sampled_from([400, 409, 413, 422, 500, 502, 504]).map(changes.json_of_a_gateway),
    st.floats(0, 0.99).map(changes.truncated),
    st.floats(0, 1).map(changes.damaged_gzip),
    st.sampled_from(["utf-8-sig", "utf-16-le", "utf-16-be", "utf-32", "latin-1"]).map(changes.encoded),
    _STATUS_FIELDS.map(lambda status: changes.with_fields(status=status)),
    st.sampled_from([None, 7, "", [], {}]).map(lambda avatar_id: changes.with_fields(id=avatar_id)),
    st.sampled_from([None, 7, "x", []]).map(lambda extras: changes.with_fields(extras=extras)),
)
_MISLEADING_CHANGES = st.sampled_from(
    [
        changes.other_avatar,
        changes.other_page,
        changes.envelope,
        changes.with_malformed_items,
        changes.with_fields(extras=None),
        changes.with_fields(id=7),
    ]
)
_NOT_PROCESSED = st.sampled_from([400, 403, 404, 405, 413, 422, 500, 502, 503]).map(
    lambda status: Fault("page", reaches_server=False, status=status, html=changes.PAGE)
)
_CUT = Fault("cut after", reaches_server=True, error=httpx.RemoteProtocolError)


def _changed(change: changes.Change) -> Fault:
    return Fault("changed", reaches_server=True, change=change)


def _read_faults(is_misleading: bool) -> st.SearchStrategy[Fault]:
    return _MISLEADING_CHANGES.map(_changed) if is_misleading else _CHANGES.map(_changed) | _NOT_PROCESSED


_CREATE_FAULTS = _CHANGES.map(_changed) | _NOT_PROCESSED | st.just(_CUT)
_READ_FAULTS = st.lists(
    st.tuples(st.booleans().flatmap(_read_faults), st.sampled_from(REPETITIONS)), max_size=MAX_READ_FAULTS
).map(lambda faults: [fault for fault, repetitions in faults for _ in range(repetitions)])
_NO_FAULT = Fault("none", reaches_server=True)


def test_fuzzed_responses_record_what_the_account_shows(fresh_ledger_file: Callable[[], Path]) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=not LONG_RUN,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(list(FINAL_STATUSES)), st.booleans(), _CREATE_FAULTS, _READ_FAULTS)
    def check(scenario: str, is_created: bool, create_fault: Fault, read_faults: list[Fault]) -> None:
        faults = [_NO_FAULT if is_created else create_fault, *read_faults]
        asyncio.run(_check(fresh_ledger_file(), scenario, faults))

    check()


async def _check(ledger: Path, scenario: str, faults: list[Fault]) -> None:
    simulation = Simulation(ledger)
    try:
        work = provision(simulation.request("ada", scenario))
        simulation.faults.extend(faults)
        await simulation.finish(work)
        await _assert_nothing_untrue(simulation)
        simulation.faults.clear()
        for _ in range(MAX_RUNS):
            await simulation.run_schedules()
            if await all_terminal(simulation.reader):
                break
        await simulation.finish(work)  # a person sends a request again that waits in ACCEPTED
        provisioning = await _assert_nothing_untrue(simulation)
        rejected = any(fault.change is changes.error_in_success for fault in faults)
        expected = {FINAL_STATUSES[scenario], *({Status.SUBMISSION_FAILED} if rejected else set())}
        assert provisioning.status in expected, provisioning.reasons
        violations = await check_invariants(simulation.reader, simulation.account)
        assert not violations, violations
    finally:
        await simulation.close()


async def _assert_nothing_untrue(simulation: Simulation) -> Provisioning:
    """Assert that there is one avatar at most, and that a recorded outcome is its status at Argil."""
    [provisioning] = await simulation.reader.list_latest(None, MAX_PROVISIONINGS)
    avatars = simulation.account.avatars
    assert len(avatars) <= 1
    if provisioning.avatar_id is not None:
        assert [provisioning.avatar_id] == [avatar["id"] for avatar in avatars]
    if (expected := RAW_STATUSES.get(provisioning.status)) is not None:
        assert [expected] == [avatar["status"] for avatar in avatars]
    assert provisioning.status not in {Status.VANISHED, Status.REJECTED}
    return provisioning
