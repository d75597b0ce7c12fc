"""Fixtures for tests of tasks and services: a ledger, a client, a simulated Argil on a real socket, one clock."""

from __future__ import annotations

import dataclasses
import shutil
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from media.checker import MediaChecker
from models.errors import MediaUnreachable
from models.media.checks import check_rules
from models.media.facts import MediaFacts
from models.media.image_facts import ImageFacts
from models.media.report import MediaReport
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Provisioning, ProvisioningEvent, Submission, SubmissionState
from models.request import ProvisioningRequest
from models.settings import Settings
from services.context import AppContext, build_context, override_context
from services.reconciliation import find_orphaned
from simulator.account import SimulatedAccount
from simulator.argil_app import create_app
from simulator.connection_drop import DroppableProtocol
from simulator.scenarios import Timing
from simulator.server import ArgilSimulator
from simulator.uvicorn_thread import serve_in_thread
from tasks.resolve_submission import resolve_submission
from tasks.submit_avatar import submit_avatar
from tests.fakes import FakeClock

KEY = "canary-key"
TRAINING_SECONDS = 100.0
GRACE_SECONDS = 1.0
TIMEOUT_SECONDS = 200.0
LEASE_SECONDS = 30.0
VALID_IMAGE = ImageFacts(size_bytes=2_000_000, format="png", width=1920, height=1080, sha256="e" * 64)
VALID_FACTS = MediaFacts(
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


async def list_orphaned(owner: LeaseOwner) -> list[Provisioning]:
    """Return the provisionings that a scheduled run of `reconcile-avatars` would find."""
    return [provisioning async for page in find_orphaned(owner) for provisioning in page]


class ScriptedClock(FakeClock):
    """A fake clock that calls the functions in `during_sleep`, one after each sleep.

    Sleeps shorter than 0.1 seconds are those of the rate limiter and are left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.during_sleep: deque[Callable[[], Awaitable[object]]] = deque()

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if seconds >= 0.1 and self.during_sleep:
            await self.during_sleep.popleft()()

    @property
    def waits(self) -> list[float]:
        return [seconds for seconds in self.sleeps if seconds >= 0.1]


class SimulatorGateway:
    """An ASGI app that forwards to the simulator of the current test; canned responses take precedence.

    One server serves all tests, because stopping a server takes 0.2 seconds.
    """

    def __init__(self) -> None:
        self.app: Any = create_app(SimulatedAccount(), api_key=KEY)
        self.canned_responses: dict[tuple[str, str], list[Response]] = {}
        self.on_request: Callable[[str, str], None] | None = None

    def serve(self, account: SimulatedAccount) -> None:
        self.app = create_app(account, api_key=KEY)
        self.canned_responses = {}
        self.on_request = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.app
        if scope["type"] == "http":
            request = (scope["method"], scope["path"])
            if self.on_request is not None:
                self.on_request(*request)
            if responses := self.canned_responses.get(request):
                app = responses.pop(0)
        await app(scope, receive, send)


def _valid_facts(role: MediaRole) -> MediaFacts | ImageFacts:
    etag = f'"{role}"'
    if role is MediaRole.IMAGE:
        return VALID_IMAGE.model_copy(update={"etag": etag})
    seconds = 61.0 if role is MediaRole.DATASET else 20.0
    return VALID_FACTS.model_copy(update={"duration_seconds": seconds, "etag": etag})


class FakeMedia:
    """Replaces MediaChecker: returns what a test put into `results`, by default a valid recording."""

    def __init__(self) -> None:
        self.results: dict[MediaRole, MediaFacts | ImageFacts | MediaReport | MediaUnreachable] = {}
        self.checked: list[tuple[str, MediaRole]] = []

    async def check(self, url: str, role: MediaRole) -> MediaReport:
        self.checked.append((url, role))
        result = self.results.get(role) or _valid_facts(role)
        if isinstance(result, MediaUnreachable):
            raise result
        if isinstance(result, MediaFacts | ImageFacts):
            return MediaReport(role=role, facts=result, checks=tuple(check_rules(result, role)))
        return result


@dataclass
class ProvisioningHarness:
    """Creates provisionings in a given status and reads them, as the owner of their leases."""

    context: AppContext
    owner: LeaseOwner
    request: ProvisioningRequest

    async def accepted(self, scenario: str = "", *, reference: str = "ada-1", **changes: Any) -> Provisioning:
        """Return a leased provisioning in ACCEPTED; the simulator plays the scenario for it."""
        extras = {"simulator": scenario} if scenario else {}
        request = self.request.model_copy(update={"extras": extras, **changes})
        opened, _ = await self.context.ledger.get_or_create(request, reference, self.owner)
        return await self.context.leases.acquire(opened.id, self.owner, self.context.lease_duration)

    async def submitted(self, scenario: str = "", **changes: Any) -> Provisioning:
        """Return a provisioning after its submission was sent."""
        return await self.submitted_from(await self.accepted(scenario, **changes))

    async def submitted_from(self, accepted: Provisioning) -> Provisioning:
        """Return the provisioning after its next submission was sent."""
        return await submit_avatar.fn(accepted, self.owner)

    async def trained(self, scenario: str, raw_status: str) -> Provisioning:
        """Return a provisioning in TRAINING whose latest status at Argil is `raw_status`."""
        provisioning = await self.submitted(scenario)
        message = f"Argil reports {raw_status}"
        return await self.context.ledger.transition(provisioning, self.owner, message, raw_status=raw_status)

    async def resolve_submission(self, provisioning: Provisioning) -> Provisioning:
        return await resolve_submission.fn(provisioning, self.owner)

    async def reload(self, provisioning: Provisioning) -> Provisioning:
        return await self.context.ledger.get(provisioning.id)

    async def submissions(self, provisioning: Provisioning) -> list[Submission]:
        return await self.context.ledger.list_submissions(provisioning.id)

    async def states(self, provisioning: Provisioning) -> list[SubmissionState]:
        return [submission.state for submission in await self.submissions(provisioning)]

    async def events(self, provisioning: Provisioning) -> list[ProvisioningEvent]:
        return await self.context.ledger.list_events(provisioning.id)

    async def event_messages(self, provisioning: Provisioning) -> list[str]:
        return [event.message for event in await self.events(provisioning)]


@pytest.fixture
def clock() -> ScriptedClock:
    return ScriptedClock()


@pytest.fixture(scope="session")
def served_gateway() -> Iterator[tuple[str, SimulatorGateway]]:
    gateway = SimulatorGateway()
    with serve_in_thread(gateway, http=DroppableProtocol) as url:
        yield f"{url}/v1", gateway


@pytest.fixture
def timing() -> dict[str, float]:
    """Durations of the simulator; tests parametrise it."""
    return {}


@pytest.fixture
def argil(
    served_gateway: tuple[str, SimulatorGateway], clock: ScriptedClock, timing: dict[str, float]
) -> ArgilSimulator:
    """A new account at the simulator that uses the test's clock."""
    url, gateway = served_gateway
    account = SimulatedAccount(
        Timing(**{"training_seconds": TRAINING_SECONDS, "retry_after_seconds": 7.0, **timing}),
        clock=clock.monotonic,
        started_at=clock.now(),
    )
    gateway.serve(account)
    return ArgilSimulator(url, KEY, account)


@pytest.fixture
def gateway(
    served_gateway: tuple[str, SimulatorGateway], argil: ArgilSimulator
) -> SimulatorGateway:  # `argil` serves a new account through it
    return served_gateway[1]


@pytest.fixture
def ledger_file(empty_ledger: Path, tmp_path: Path) -> Path:
    return shutil.copyfile(empty_ledger, tmp_path / "ledger.db")


@pytest.fixture
def changes() -> dict[str, Any]:
    """Settings that differ from the defaults of `context`; tests parametrise it."""
    return {}


@pytest.fixture
def media() -> FakeMedia:
    return FakeMedia()


@pytest.fixture
async def context(
    argil: ArgilSimulator, clock: ScriptedClock, ledger_file: Path, changes: dict[str, Any], media: FakeMedia
) -> AsyncIterator[AppContext]:
    """The context of every task and service that the test calls."""
    fields = {
        "argil_api_url": argil.api_url,
        "argil_api_key": argil.api_key,
        "avatars_database_url": f"sqlite+aiosqlite:///{ledger_file}",
        "avatars_media_check": "off",
        "avatars_poll_min_seconds": 20.0,
        "avatars_lookup_grace_seconds": GRACE_SECONDS,
        "avatars_gone_after_seconds": GRACE_SECONDS,
        "avatars_training_timeout_seconds": TIMEOUT_SECONDS,
        "avatars_requests_per_second": 1e6,
        **changes,
    }
    settings = Settings(_env_file=None, **fields)
    async with build_context(settings, clock) as built:
        replaced = dataclasses.replace(built, media_checker=cast("MediaChecker", media))
        assert replaced.lease_duration.total_seconds() == LEASE_SECONDS
        async with override_context(replaced):
            yield replaced


@pytest.fixture
def harness(
    context: AppContext, owner: LeaseOwner, provisioning_request: ProvisioningRequest
) -> ProvisioningHarness:
    return ProvisioningHarness(context, owner, provisioning_request)


@pytest.fixture
def other_owner() -> LeaseOwner:
    return LeaseOwner(actor="other", id=str(uuid4()))
