"""The old process of a run does not report once another process of the same run advances its provisioning."""

from __future__ import annotations

import importlib

import pytest
from prefect.exceptions import Abort

from models.errors import ArgilUnauthorized
from models.provisioning import LeaseOwner
from services.runs.superseded_runs import leave_report_to_later_attempt
from tests.provisioning_harness import LEASE_SECONDS, ProvisioningHarness, ScriptedClock

OLD = LeaseOwner(actor="provision-avatar", id="first attempt", flow_run_id="run-1")
NEW = LeaseOwner(actor="provision-avatar", id="second attempt", flow_run_id="run-1")
OTHER_RUN = LeaseOwner(actor="reconcile-avatars", id="another run", flow_run_id="run-2")


@pytest.mark.parametrize(("holder", "is_superseded"), [(NEW, True), (OLD, False), (OTHER_RUN, False)])
async def test_only_a_later_attempt_of_the_run_supersedes_it(
    harness: ProvisioningHarness, clock: ScriptedClock, holder: LeaseOwner, *, is_superseded: bool
) -> None:
    accepted = await ProvisioningHarness(harness.context, OLD, harness.request).accepted()
    clock.advance(LEASE_SECONDS)
    await harness.context.leases.acquire(accepted.id, holder, harness.context.lease_duration)
    if is_superseded:
        with pytest.raises(Abort):
            await leave_report_to_later_attempt(OLD)
    else:
        await leave_report_to_later_attempt(OLD)
    clock.advance(LEASE_SECONDS)  # the holder ended without a release
    await leave_report_to_later_attempt(OLD)


async def test_process_without_a_run_is_never_superseded(harness: ProvisioningHarness) -> None:
    await harness.accepted()
    await leave_report_to_later_attempt(harness.owner)


@pytest.mark.parametrize(
    ("module", "first_step", "arguments"),
    [
        ("flows.provision_avatar", "flows.engine.single_request.get_or_create_provisioning", {}),
        (
            "flows.resume_provisioning",
            "flows.resume_provisioning.find_provisioning",
            {"provisioning_id": "ada-1"},
        ),
    ],
)
async def test_flow_that_was_superseded_reports_no_error(
    harness: ProvisioningHarness,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    first_step: str,
    arguments: dict[str, object],
) -> None:
    async def fail(*_: object) -> None:
        raise ArgilUnauthorized("the key was revoked")

    flow = getattr(importlib.import_module(module), module.rpartition(".")[2]).fn
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "run-1")
    monkeypatch.setattr(first_step, fail)
    parameters = arguments or {"request": harness.request}
    assert (await flow(**parameters)).name == "ArgilUnauthorized"
    await ProvisioningHarness(harness.context, NEW, harness.request).accepted()
    with pytest.raises(Abort):
        await flow(**parameters)
