"""The one place that builds clients and store: one set a process and event loop, shared by all that need it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

from clients.argil import ArgilClient
from clients.media_probe import MediaChecker
from clients.throttle import Budget
from clients.training_watch import TrainingWatch
from models.clock import Clock, SystemClock
from models.media import MediaRole
from models.settings import Settings
from store import migration
from store.database import Database
from store.deliveries import Deliveries
from store.leases import Leases
from store.provisionings import Ledger
from store.quarantine import Quarantine
from store.sleepers import Sleepers
from tasks.api_key import api_key
from tasks.hints import Hints
from tasks.hold import Hold
from tasks.shared_budget import SharedBudget

LEASE = timedelta(seconds=30)
"""How long a driver that died keeps others out."""


@dataclass(frozen=True)
class Runtime:
    """What tasks work with."""

    settings: Settings
    clock: Clock
    ledger: Ledger
    leases: Leases
    quarantine: Quarantine
    deliveries: Deliveries
    sleepers: Sleepers
    argil: ArgilClient
    watch: TrainingWatch
    media: MediaChecker
    lease: timedelta
    held: dict[str, dict[str, Hold]] = field(default_factory=dict)
    """What each driver here holds, by its id and the provisioning's; one may overtake another of this process."""
    hearts: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """By the id of each driver here: what renews its leases."""


@contextlib.asynccontextmanager
async def open_store(settings: Settings, clock: Clock) -> AsyncIterator[tuple[Ledger, Leases, Quarantine]]:
    """Open the ledger alone, its tables up to date. Raises DatabaseError."""
    database = Database(settings.avatars_database_url.get_secret_value())
    try:
        await migration.prepare(database)
        yield Ledger(database, clock), Leases(database, clock), Quarantine(database, clock)
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def _closed_after(media: MediaChecker) -> AsyncIterator[MediaChecker]:
    with media:
        yield media


@contextlib.asynccontextmanager
async def build(
    settings: Settings, clock: Clock, *, lease: timedelta = LEASE, budget: Budget | None = None
) -> AsyncIterator[Runtime]:
    """Build a runtime. Raises SettingsError where there is no API key, and DatabaseError."""
    key = await api_key(settings)
    async with (
        open_store(settings, clock) as (ledger, leases, quarantine),
        ArgilClient(
            settings.argil_api_url,
            key,
            clock=clock,
            requests_per_second=settings.avatars_requests_per_second,
            budget=budget,
        ) as argil,
        _closed_after(
            MediaChecker(
                allowed_hosts=settings.avatars_media_allowed_hosts,
                demands=settings.media_demands,
                sha256_of={MediaRole.CONSENT} if settings.avatars_consent_sha256 else (),
                now=clock.now,
            )
        ) as media,
    ):
        deliveries = Deliveries(ledger.database, clock)
        yield Runtime(
            settings=settings,
            clock=clock,
            ledger=ledger,
            leases=leases,
            quarantine=quarantine,
            deliveries=deliveries,
            sleepers=Sleepers(ledger.database, clock),
            argil=argil,
            watch=TrainingWatch(
                argil,
                clock,
                floor=settings.avatars_poll_floor_seconds,
                ceiling=settings.avatars_poll_ceiling_seconds,
                gone_after=settings.avatars_lookup_grace_seconds,
                hints=Hints(deliveries),
            ),
            media=media,
            lease=lease,
        )


class _Shared:
    """A runtime in use on one event loop; the first to come builds it, the last to go closes it."""

    def __init__(self) -> None:
        self.users = 0
        self.lock = asyncio.Lock()
        self.stack = contextlib.AsyncExitStack()
        self.runtime: Runtime | None = None


_shared: dict[asyncio.AbstractEventLoop, _Shared] = {}


@contextlib.asynccontextmanager
async def _in_use() -> AsyncIterator[_Shared]:
    loop = asyncio.get_running_loop()
    shared = _shared.setdefault(loop, _Shared())
    shared.users += 1
    try:
        yield shared
    finally:
        shared.users -= 1
        if shared.users == 0:
            del _shared[loop]
            await shared.stack.aclose()


@contextlib.asynccontextmanager
async def runtime() -> AsyncIterator[Runtime]:
    """Share this process's runtime, built from the environment at its first use.

    Sharing keeps one request budget and one connection pool a process, however many runs it holds. Raises
    SettingsError and DatabaseError.
    """
    async with _in_use() as shared:
        async with shared.lock:
            if shared.runtime is None:
                clock = SystemClock()
                built = build(Settings.load(), clock, budget=SharedBudget(clock))
                shared.runtime = await shared.stack.enter_async_context(built)
        yield shared.runtime


@contextlib.asynccontextmanager
async def sharing(built: Runtime) -> AsyncIterator[None]:
    """Let everything on this event loop share a runtime that was built by hand."""
    async with _in_use() as shared:
        shared.runtime = built
        yield
