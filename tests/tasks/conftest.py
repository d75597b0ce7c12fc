"""A world of its own for each test of a task: a ledger, a client, an Argil on a real socket, and one clock."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
import trustme
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from clients.media_probe import MediaChecker
from models.errors import MediaUnreachable
from models.media import MediaFacts, MediaReport, MediaRole, checks
from models.provisioning import Driver, Event, Provisioning, Submission, SubmissionState
from models.request import ProvisioningRequest
from models.settings import Settings
from simulator.argil import create_app
from simulator.cutting import CuttableProtocol
from simulator.scenarios import Timing
from simulator.server import ArgilSimulator
from simulator.serving import serving
from simulator.world import World
from store import migration
from store.database import Database
from tasks.find_submission import find_submission
from tasks.find_unattended import find_unattended
from tasks.runtime import Runtime, build, sharing
from tasks.submit_avatar import submit_avatar
from tests.fakes import FakeClock

KEY = "canary-key"
TRAINING_SECONDS = 100.0
GRACE_SECONDS = 1.0
TIMEOUT_SECONDS = 200.0
LEASE_SECONDS = 30.0
GOOD_FACTS = MediaFacts(
    size_bytes=1000,
    container="mp4",
    video_codec="h264",
    width=1920,
    height=1080,
    duration_seconds=61.0,
    frame_rate=30.0,
    has_audio=True,
    etag='"1"',
)


async def unattended(driver: Driver) -> list[Provisioning]:
    """Return what a reconcile tick would find."""
    return [one async for page in find_unattended(driver) for one in page]


class EventfulClock(FakeClock):
    """A fake clock in whose sleeps something may happen: the first of `meanwhile` in the first one, and so on.

    Sleeps shorter than a tenth of a second are the throttle's, in which nothing happens.
    """

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: deque[Callable[[], Awaitable[object]]] = deque()

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if seconds >= 0.1 and self.meanwhile:
            await self.meanwhile.popleft()()

    @property
    def waits(self) -> list[float]:
        return [seconds for seconds in self.sleeps if seconds >= 0.1]


class Gate:
    """The simulator's door: each test puts its own account behind it, and may answer requests before that does.

    One server for all tests, since stopping one takes a fifth of a second.
    """

    def __init__(self) -> None:
        self.app: Any = create_app(World(), api_key=KEY)
        self.answers: dict[tuple[str, str], list[Response]] = {}
        self.on_request: Callable[[str, str], None] | None = None

    def open_to(self, world: World) -> None:
        self.app = create_app(world, api_key=KEY)
        self.answers = {}
        self.on_request = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http":
            asked = (scope["method"], scope["path"])
            if self.on_request is not None:
                self.on_request(*asked)
            if waiting := self.answers.get(asked):
                app = waiting.pop(0)
        await app(scope, receive, send)


class FakeMedia:
    """Stands in for MediaChecker: says what a test put into `found`, else that the recording is good."""

    def __init__(self) -> None:
        self.found: dict[MediaRole, MediaFacts | MediaReport | MediaUnreachable] = {}
        self.checked: list[tuple[str, MediaRole]] = []

    async def check(self, url: str, role: MediaRole) -> MediaReport:
        self.checked.append((url, role))
        found = self.found.get(role) or GOOD_FACTS.model_copy(
            update={"duration_seconds": 61.0 if role is MediaRole.DATASET else 20.0, "etag": f'"{role}"'}
        )
        if isinstance(found, MediaUnreachable):
            raise found
        if isinstance(found, MediaFacts):
            return MediaReport(role=role, facts=found, checks=tuple(checks(found, role)))
        return found


@dataclass
class Desk:
    """What a test asks of the ledger, as the driver that holds the leases."""

    active: Runtime
    driver: Driver
    request: ProvisioningRequest

    async def accepted(self, scenario: str = "", *, reference: str = "ada-1", **changes: Any) -> Provisioning:
        """Return a provisioning of Ada that this driver has leased; Argil meets it with the scenario."""
        extras = {"simulator": scenario} if scenario else {}
        request = self.request.model_copy(update={"extras": extras, **changes})
        opened, _ = await self.active.ledger.open(request, reference, self.driver)
        return await self.active.leases.claim(opened.id, self.driver, self.active.lease)

    async def submitted(self, scenario: str = "", **changes: Any) -> Provisioning:
        """Return one whose create was sent."""
        return await self.submitted_from(await self.accepted(scenario, **changes))

    async def submitted_from(self, accepted: Provisioning) -> Provisioning:
        """Return it after its create was sent, or sent again."""
        return await submit_avatar.fn(accepted, self.driver)

    async def trained(self, scenario: str, raw_status: str) -> Provisioning:
        """Return one in TRAINING, of which Argil has said `raw_status` since."""
        seen = await self.submitted(scenario)
        why = f"Argil says {raw_status}"
        return await self.active.ledger.record(seen, self.driver, why, raw_status=raw_status)

    async def found(self, provisioning: Provisioning) -> Provisioning:
        return await find_submission.fn(provisioning, self.driver)

    async def now(self, provisioning: Provisioning) -> Provisioning:
        return await self.active.ledger.get(provisioning.id)

    async def submissions(self, provisioning: Provisioning) -> list[Submission]:
        return await self.active.ledger.submissions(provisioning.id)

    async def states(self, provisioning: Provisioning) -> list[SubmissionState]:
        return [submission.state for submission in await self.submissions(provisioning)]

    async def events(self, provisioning: Provisioning) -> list[Event]:
        return await self.active.ledger.events(provisioning.id)

    async def whys(self, provisioning: Provisioning) -> list[str]:
        return [event.why for event in await self.events(provisioning)]


@pytest.fixture
def clock() -> EventfulClock:
    return EventfulClock()


@pytest.fixture(scope="session")
def served_gate() -> Iterator[tuple[str, Gate]]:
    gate = Gate()
    with serving(gate, http=CuttableProtocol) as url:
        yield f"{url}/v1", gate


@pytest.fixture
def timing() -> dict[str, float]:
    """How long things take at the simulator; tests parametrise it."""
    return {}


@pytest.fixture
def argil(served_gate: tuple[str, Gate], clock: EventfulClock, timing: dict[str, float]) -> ArgilSimulator:
    """A new account at the simulator, whose time is the test's clock."""
    url, gate = served_gate
    world = World(
        Timing(**{"training_seconds": TRAINING_SECONDS, "retry_after_seconds": 7.0, **timing}),
        clock=clock.monotonic,
    )
    gate.open_to(world)
    return ArgilSimulator(url, KEY, world)


@pytest.fixture
def gate(served_gate: tuple[str, Gate], argil: ArgilSimulator) -> Gate:  # opened anew by `argil`
    return served_gate[1]


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with its tables: copying it is faster than making one."""
    path = tmp_path_factory.mktemp("ledger") / "empty.db"

    async def make() -> None:
        database = Database(f"sqlite+aiosqlite:///{path}")
        await migration.prepare(database)
        await database.close()

    asyncio.run(make())
    return path


@pytest.fixture
def ledger_file(empty_ledger: Path, tmp_path: Path) -> Path:
    return shutil.copyfile(empty_ledger, tmp_path / "ledger.db")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trust") / "ca.pem"
    trustme.CA().cert_pem.write_to_path(path)
    return path


@pytest.fixture(autouse=True)
def one_trusted_certificate(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here speaks TLS, and reading one certificate for each client is faster than reading all there are."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.fixture
def changes() -> dict[str, Any]:
    """Settings that differ from those below; tests parametrise it."""
    return {}


@pytest.fixture
def media() -> FakeMedia:
    return FakeMedia()


@pytest.fixture
async def active(
    argil: ArgilSimulator, clock: EventfulClock, ledger_file: Path, changes: dict[str, Any], media: FakeMedia
) -> AsyncIterator[Runtime]:
    """The runtime that every task of the test works with."""
    fields = {
        "argil_api_url": argil.api_url,
        "argil_api_key": argil.api_key,
        "avatars_database_url": f"sqlite+aiosqlite:///{ledger_file}",
        "avatars_media_check": "off",
        "avatars_poll_floor_seconds": 20.0,
        "avatars_lookup_grace_seconds": GRACE_SECONDS,
        "avatars_training_timeout_seconds": TIMEOUT_SECONDS,
        "avatars_requests_per_second": 1e6,
        **changes,
    }
    settings = Settings(_env_file=None, **fields)
    async with build(settings, clock) as built:
        runtime = dataclasses.replace(built, media=cast("MediaChecker", media))
        assert runtime.lease.total_seconds() == LEASE_SECONDS
        async with sharing(runtime):
            yield runtime


@pytest.fixture
def desk(active: Runtime, driver: Driver, request_of_ada: ProvisioningRequest) -> Desk:
    return Desk(active, driver, request_of_ada)


@pytest.fixture
def other() -> Driver:
    return Driver(actor="other", id=str(uuid4()))
