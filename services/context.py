"""The composition root: builds the clients and the store, one set per process and event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from clients.argil import ArgilClient
from clients.rate_limiter import SharedRateLimit
from clients.shared_list import SharedList
from clients.training_monitor import TrainingMonitor
from media.checker import MediaChecker
from media.recording_checker import RecordingChecker
from media.remote.ssrf_guard import default_ssl_context
from media.stores.object_reader import ObjectReader
from media.stores.signing import UrlSigner
from models.clock import Clock, SystemClock
from models.lease_duration import LEASE_DURATION
from models.limits import SubmissionGuard, digest_api_key
from models.media.rules import MediaRole
from models.settings import Settings
from services.account.empty_lists import EmptyListCheck
from services.account.outage_log import OutageLog
from services.account.unknown_avatars import SERVICE_STARTED_AT, AccountComparison, current_person
from services.api_key import resolve_api_key
from services.leases import LeaseManager
from services.prefect_api.global_rate_limit import PrefectRateLimit
from services.recordings.object_access import object_access
from services.request_pause import LedgerRequestPause
from services.store import open_store
from services.webhooks.webhook_wakeups import WebhookWakeups
from store.batches import BatchRepository
from store.leases import LeaseRepository
from store.ledger import Ledger
from store.limits import LimitRepository
from store.observations import ObservationRepository
from store.quarantine import QuarantineRepository
from store.suspended_runs import SuspendedRunRepository
from store.tick_leases import TickLeaseRepository
from store.unknown_avatars import UnknownAvatarRepository
from store.uploads import UploadRepository
from store.webhook_deliveries import WebhookDeliveryRepository


@dataclass(frozen=True)
class AppContext:
    """The shared dependencies of the tasks and services of one process."""

    settings: Settings
    clock: Clock
    ledger: Ledger
    leases: LeaseRepository
    lease_manager: LeaseManager
    quarantine: QuarantineRepository
    deliveries: WebhookDeliveryRepository
    suspended_runs: SuspendedRunRepository
    observations: ObservationRepository
    limits: LimitRepository
    guard: SubmissionGuard
    batches: BatchRepository
    tick_leases: TickLeaseRepository
    unknown_avatars: UnknownAvatarRepository
    uploads: UploadRepository
    account_comparison: AccountComparison
    argil: ArgilClient
    training_monitor: TrainingMonitor
    shared_list: SharedList
    media_checker: MediaChecker
    url_signer: UrlSigner
    object_reader: ObjectReader
    outage_log: OutageLog

    @property
    def recording_checker(self) -> RecordingChecker:
        """Checks the recording at any address."""
        return RecordingChecker(self.media_checker, self.url_signer, self.object_reader)

    @property
    def lease_duration(self) -> timedelta:
        """How long a lease lasts without a renewal."""
        return self.lease_manager.duration


@contextlib.asynccontextmanager
async def _closing(media_checker: MediaChecker) -> AsyncIterator[MediaChecker]:
    with media_checker:
        yield media_checker


@contextlib.asynccontextmanager
async def _object_access(
    settings: Settings, ssl_context: ssl.SSLContext
) -> AsyncIterator[tuple[UrlSigner, ObjectReader]]:
    with object_access(settings, ssl_context) as access:
        yield access


@contextlib.asynccontextmanager
async def build_context(
    settings: Settings,
    clock: Clock,
    *,
    lease_duration: timedelta = LEASE_DURATION,
    shared_limit: SharedRateLimit | None = None,
    listed_since: datetime | None = None,
) -> AsyncIterator[AppContext]:
    """Build the context of one process.

    Args:
        settings: The settings of this process.
        clock: The clock of every client and repository.
        lease_duration: Maximum time for which the lease of a crashed owner blocks other owners.
        shared_limit: A rate limit shared with other processes, applied on top of the process's own.
        listed_since: Only after this time, a list call of another process counts as one before the first submission
            (services/account/unknown_avatars.py). None stands for the current time.

    Raises:
        SettingsError: No API key was found, or SSL_CERT_FILE cannot be used.
        DatabaseError: The ledger cannot be opened.

    """
    api_key = await resolve_api_key(settings)
    guard = SubmissionGuard(settings.spend_limits, digest_api_key(api_key))
    outage_log = OutageLog(clock)
    ssl_context = await asyncio.to_thread(default_ssl_context)
    async with open_store(settings, clock) as store:
        account_comparison = AccountComparison(
            store.unknown_avatars,
            store.observations,
            clock,
            EmptyListCheck(store.ledger, store.unknown_avatars),
            since=listed_since or clock.now(),
            ignored_by=current_person() if settings.avatars_ignore_unknown else None,
        )
        async with (
            ArgilClient(
                settings.argil_api_url,
                api_key,
                clock=clock,
                requests_per_second=settings.avatars_requests_per_second,
                shared_limit=shared_limit,
                shared_pause=LedgerRequestPause(store.limits, guard.api_key_sha256, clock),
                on_list=account_comparison.observe,
                ssl_context=ssl_context,
            ) as argil,
            _closing(
                MediaChecker(
                    allowed_hosts=settings.avatars_media_allowed_hosts,
                    ssl_context=ssl_context,
                    reference_host=settings.reference_host,
                    policy=settings.media_policy,
                    sha256_of={MediaRole.CONSENT} if settings.avatars_hash_consent_video else (),
                    clock=clock,
                )
            ) as media_checker,
            _object_access(settings, ssl_context) as (url_signer, object_reader),
        ):
            yield AppContext(
                settings=settings,
                clock=clock,
                ledger=store.ledger,
                leases=store.leases,
                lease_manager=LeaseManager(store.leases, store.ledger, clock, lease_duration),
                quarantine=store.quarantine,
                deliveries=store.deliveries,
                suspended_runs=store.suspended_runs,
                observations=store.observations,
                limits=store.limits,
                guard=guard,
                batches=store.batches,
                tick_leases=store.tick_leases,
                unknown_avatars=store.unknown_avatars,
                uploads=store.uploads,
                account_comparison=account_comparison,
                argil=argil,
                training_monitor=TrainingMonitor(
                    argil,
                    clock,
                    min_interval_seconds=settings.avatars_poll_min_seconds,
                    max_interval_seconds=settings.avatars_poll_max_seconds,
                    not_found_grace_seconds=settings.avatars_gone_after_seconds,
                    wakeups=WebhookWakeups(store.deliveries),
                    outages=outage_log,
                ),
                shared_list=SharedList(argil, clock),
                media_checker=media_checker,
                url_signer=url_signer,
                object_reader=object_reader,
                outage_log=outage_log,
            )


class _SharedContext:
    """The context in use on one event loop: built by its first user, closed by its last."""

    def __init__(self) -> None:
        self.reference_count = 0
        self.lock = asyncio.Lock()
        self.stack = contextlib.AsyncExitStack()
        self.context: AppContext | None = None


_shared: dict[asyncio.AbstractEventLoop, _SharedContext] = {}


@contextlib.asynccontextmanager
async def _acquire_shared() -> AsyncIterator[_SharedContext]:
    loop = asyncio.get_running_loop()
    shared = _shared.setdefault(loop, _SharedContext())
    shared.reference_count += 1
    try:
        yield shared
    finally:
        shared.reference_count -= 1
        if shared.reference_count == 0:
            del _shared[loop]
            await shared.stack.aclose()


@contextlib.asynccontextmanager
async def app_context() -> AsyncIterator[AppContext]:
    """Share the context of this process, built from the environment on first use.

    All runs of a process share one rate limiter and one connection pool.

    Raises:
        SettingsError: No API key was found, or SSL_CERT_FILE cannot be used.
        DatabaseError: The ledger cannot be opened.

    """
    async with _acquire_shared() as shared:
        async with shared.lock:
            if shared.context is None:
                clock = SystemClock()
                built = build_context(
                    Settings.load(),
                    clock,
                    shared_limit=PrefectRateLimit(clock),
                    listed_since=SERVICE_STARTED_AT,
                )
                shared.context = await shared.stack.enter_async_context(built)
        yield shared.context


@contextlib.asynccontextmanager
async def override_context(context: AppContext) -> AsyncIterator[None]:
    """Share the given context with everything on this event loop, for example a test's own."""
    async with _acquire_shared() as shared:
        shared.context = context
        yield
