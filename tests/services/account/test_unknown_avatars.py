"""Submissions wait for a person while Argil has avatars that the ledger does not know; nothing else does."""

from __future__ import annotations

import logging
import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from pydantic import SecretStr
from starlette.responses import JSONResponse, Response

from clients.training_monitor import MonitorResult
from models.errors import ArgilUnauthorized, ArgilUnreachable, DatabaseError, UnknownAvatars
from models.provisioning import LeaseOwner
from services.account import unknown_avatars as module
from services.account.unknown_avatars import MAX_OBSERVATION_AGE, RETRY_SECONDS, report_undecided
from services.context import AppContext, build_context
from services.submissions import build_create_request
from simulator.server import ArgilSimulator
from store.unknown_avatars import UnknownAvatarRepository
from tasks.await_training import await_training
from tests.provisioning_harness import ProvisioningHarness, ScriptedClock, SimulatorGateway, list_orphaned

LIST = "GET", "/v1/avatars"


@asynccontextmanager
async def process(context: AppContext, **changes: object) -> AsyncIterator[AppContext]:
    """Yield the context of another process that uses the same ledger and account."""
    settings = context.settings.model_copy(update=changes)
    async with build_context(settings, context.clock) as built:
        yield built


async def require(context: AppContext) -> None:
    await context.account_comparison.require_known_past(context.argil)


async def create_unknown(harness: ProvisioningHarness) -> str:
    """Create an avatar whose submission no ledger knows; return its id."""
    request = build_create_request(harness.request, str(uuid.uuid4()), harness.request.recordings)
    return (await harness.context.argil.create_avatar(request)).id


def lists(argil: ArgilSimulator) -> int:
    return argil.account.count("GET /avatars")


async def test_process_lists_the_account_once_before_its_first_submission(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    for _ in range(3):
        await require(harness.context)
    assert lists(argil) == 1
    async with process(harness.context) as other:
        await require(other)
    assert lists(argil) == 2


async def test_unknown_avatar_stops_submissions_of_every_process(
    harness: ProvisioningHarness, caplog: pytest.LogCaptureFixture
) -> None:
    await require(harness.context)
    avatar_id = await create_unknown(harness)
    async with process(harness.context) as other:
        with caplog.at_level(logging.WARNING), pytest.raises(UnknownAvatars, match=avatar_id):
            await require(other)
        assert caplog.text.count(avatar_id) == 1
    with pytest.raises(UnknownAvatars, match=avatar_id):
        await require(harness.context)
    assert await report_undecided(harness.context.unknown_avatars) == 1


@pytest.mark.parametrize("call", ["list_avatars", "list_avatars_lazy", "list_account"])
async def test_every_list_call_is_compared(harness: ProvisioningHarness, call: str) -> None:
    await create_unknown(harness)
    await getattr(harness.context.argil, call)()
    assert await harness.context.unknown_avatars.count_undecided() == 1


async def test_decision_is_recorded_and_ends_the_stop(harness: ProvisioningHarness, clock: ScriptedClock) -> None:
    await create_unknown(harness)
    with pytest.raises(UnknownAvatars):
        await require(harness.context)
    async with process(harness.context, avatars_ignore_unknown=True) as ignoring:
        await require(ignoring)
        await create_unknown(harness)
        await ignoring.argil.list_account()
        await require(ignoring)
    await require(harness.context)
    latest = await harness.context.unknown_avatars.latest_ignored()
    assert latest is not None
    assert (latest.ignored_by, latest.ignored_at) == (module.current_person(), clock.now())
    assert await harness.context.unknown_avatars.count_ignored() == 2


async def test_reconciliation_of_a_person_who_decided_ends_the_stop(harness: ProvisioningHarness) -> None:
    await create_unknown(harness)
    async with process(harness.context, avatars_ignore_unknown=True) as ignoring:
        await ignoring.argil.list_account()
    await require(harness.context)


async def test_list_of_reconciliation_serves_later_processes(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock
) -> None:
    async with process(harness.context) as other:
        clock.advance(1)
        await list_orphaned(harness.owner)
        await require(other)
        assert lists(argil) == 1
    async with process(harness.context) as started_before:
        clock.advance(1)
        await list_orphaned(harness.owner)
        clock.advance(MAX_OBSERVATION_AGE.total_seconds())
        await require(started_before)
        assert lists(argil) == 3


async def test_list_of_a_restored_ledger_does_not_count(
    harness: ProvisioningHarness, argil: ArgilSimulator, ledger_file: Path, clock: ScriptedClock, tmp_path: Path
) -> None:
    """The backup has the time of a list call that was made before the backup."""
    await list_orphaned(harness.owner)
    clock.advance(1)
    with closing(sqlite3.connect(ledger_file, isolation_level=None)) as connection:
        connection.execute("VACUUM INTO ?", [str(tmp_path / "backup.db")])
    avatar_id = await create_unknown(harness)
    restored = f"sqlite+aiosqlite:///{tmp_path / 'backup.db'}"
    async with process(harness.context, avatars_database_url=SecretStr(restored)) as service:
        with pytest.raises(UnknownAvatars, match=avatar_id):
            await require(service)


async def test_failed_list_does_not_stop_submissions(
    harness: ProvisioningHarness,
    argil: ArgilSimulator,
    gateway: SimulatorGateway,
    clock: ScriptedClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await harness.submitted()
    gateway.canned_responses[LIST] = [Response(status_code=500)]
    await create_unknown(harness)
    with caplog.at_level(logging.WARNING):
        await require(harness.context)
        await require(harness.context)
    assert caplog.text.count("could not be listed") == 1
    assert gateway.canned_responses[LIST] == []
    assert lists(argil) == 0
    clock.advance(RETRY_SECONDS)
    with pytest.raises(UnknownAvatars):
        await require(harness.context)


async def test_ledger_without_submissions_needs_a_list(
    harness: ProvisioningHarness, argil: ArgilSimulator, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    """It may be in the place of one that was deleted: a failed list does not show that nothing is there."""
    gateway.canned_responses[LIST] = [Response(status_code=500), Response(status_code=503)]
    avatar_id = await create_unknown(harness)
    for _ in range(2):
        for _ in range(2):  # the second time without a call
            with pytest.raises(ArgilUnreachable, match="could not be listed") as caught:
                await require(harness.context)
        assert "--ignore-unknown" in caught.value.hint
        clock.advance(RETRY_SECONDS)
    assert gateway.canned_responses[LIST] == []
    assert lists(argil) == 0
    with pytest.raises(UnknownAvatars, match=avatar_id):
        await require(harness.context)


@pytest.mark.parametrize("status", [301, 404, 405])
async def test_address_without_a_list_is_left_to_the_error_of_the_submission(
    harness: ProvisioningHarness, gateway: SimulatorGateway, status: int
) -> None:
    gateway.canned_responses[LIST] = [Response(status_code=status)]
    await require(harness.context)
    assert gateway.canned_responses[LIST] == []


async def test_person_who_ignores_unknown_avatars_needs_no_list(
    harness: ProvisioningHarness, gateway: SimulatorGateway
) -> None:
    gateway.canned_responses[LIST] = [Response(status_code=500)]
    async with process(harness.context, avatars_ignore_unknown=True) as ignoring:
        await require(ignoring)
    assert gateway.canned_responses[LIST] == []


async def test_rejected_key_stops_the_submission(harness: ProvisioningHarness, gateway: SimulatorGateway) -> None:
    gateway.canned_responses[LIST] = [JSONResponse({"code": 401, "message": "no"}, status_code=401)]
    with pytest.raises(ArgilUnauthorized):
        await require(harness.context)


async def test_ledger_is_read_after_the_list(
    harness: ProvisioningHarness, gateway: SimulatorGateway, ledger_file: Path
) -> None:
    """Another process commits a submission, and its avatar is created, while this one lists the account."""
    accepted = await harness.accepted()
    submission_id = str(uuid.uuid4())

    def commit_submission(method: str, path: str) -> None:
        if (method, path) == LIST:
            with closing(sqlite3.connect(ledger_file)) as connection, connection:
                connection.execute(
                    "INSERT INTO submissions (id, provisioning_id, ordinal, state, created_at, state_changed_at)"
                    " VALUES (?, ?, 1, 'PENDING', '2026-11-23', '2026-11-23')",
                    [submission_id, accepted.id],
                )

    gateway.on_request = commit_submission
    item = {"id": "a-1", "status": "TRAINING", "extras": {"submission_id": submission_id}}
    gateway.canned_responses[LIST] = [JSONResponse([item])]
    await require(harness.context)
    assert await harness.context.unknown_avatars.count_undecided() == 0


async def test_failed_comparison_disturbs_no_poll_but_stops_submissions(
    harness: ProvisioningHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise DatabaseError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(UnknownAvatarRepository, "compare", fail)
        assert await harness.context.argil.list_avatars() == []
        with pytest.raises(DatabaseError, match="the disk is full"):
            await require(harness.context)
    await require(harness.context)


async def test_avatars_of_others_and_of_this_ledger_stop_nothing(
    harness: ProvisioningHarness, other_owner: LeaseOwner, clock: ScriptedClock
) -> None:
    await harness.submitted()
    for extras in ({}, {"submission_id": "4711"}, {"submission_id": "00000000-0000-0000-0000-000000000000"}):
        request = build_create_request(harness.request, "", harness.request.recordings).model_copy(
            update={"extras": extras}
        )
        await harness.context.argil.create_avatar(request)
    await require(harness.context)
    assert await report_undecided(harness.context.unknown_avatars) == 0


async def test_training_is_polled_to_its_end_meanwhile(harness: ProvisioningHarness) -> None:
    training = await harness.submitted()
    await create_unknown(harness)
    await harness.context.argil.list_account()
    assert await harness.context.unknown_avatars.count_undecided() == 1
    _, result = await await_training.fn(training, harness.owner, None)
    assert result is MonitorResult.TERMINAL


def test_person_without_an_account_entry_is_named_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_entry() -> str:
        raise OSError("no such user")

    monkeypatch.setattr("getpass.getuser", no_entry)
    monkeypatch.setattr("socket.gethostname", lambda: 300 * "h")
    assert module.current_person().startswith("user ")
    assert len(module.current_person()) == 256
