"""In-process fakes of time, threads, sockets and Prefect."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import prefect
import pytest
from prefect.exceptions import ObjectNotFound
from sqlalchemy import Connection, Engine, event

from clients.argil import ArgilClient
from models.errors import DatabaseError
from models.media.report import MediaReport, RuleResult
from models.media.rules import MediaRole
from services.webhooks.webhook_wakeups import WebhookWakeups
from store.database import Database
from store.group_commit import Result, Work
from store.webhook_deliveries import WebhookDeliveryRepository
from tests.chaos.deterministic_scheduler import current_process, deterministic_uuid4
from tests.provisioning_harness import VALID_FACTS

Returned = TypeVar("Returned")
EXPIRED = "?X-Amz-Signature=expired"
"""The query of the URLs that ExpiringMediaChecker rejects."""
IGNORED_SLEEP_SECONDS = 0.001
"""Shorter sleeps come from the rate limiter, which the tests do not limit."""


class ScheduledClock:
    """The clock of all simulated processes; a sleep is a yield point of the scheduler."""

    def now(self) -> datetime:
        process = current_process.get()
        scheduler = process.simulation.scheduler
        return scheduler.time + scheduler.clock_offset + process.clock_offset

    def monotonic(self) -> float:
        return current_process.get().simulation.scheduler.time.timestamp()

    async def sleep(self, seconds: float) -> None:
        if seconds > IGNORED_SLEEP_SECONDS:
            await current_process.get().simulation.scheduler.yield_point(f"sleep {seconds:g}", seconds)

    def jitter(self) -> float:
        return 1.0


_ENGINES: dict[str, Engine] = {}
"""By database URL. Transactions never overlap, so processes share engines and their compiled statements."""


class SharedDatabase(Database):
    """A database that all processes and the test share: one engine per file."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        new_engine = self.engine
        self.engine = self._backend.engine = _ENGINES.setdefault(url, new_engine)
        if self.engine is new_engine:

            @event.listens_for(new_engine, "connect")
            def disable_fsync(connection: Any, _record: Any) -> None:
                connection.cursor().execute("PRAGMA synchronous = OFF")  # these tests kill processes, not machines

    async def close(self) -> None:
        """Keep the shared engine open; the simulation closes it."""


class CrashingDatabase(SharedDatabase):
    """Adds a yield point before each transaction, and crash points before and after each commit of a write."""

    async def read(self, work: Work[Result]) -> Result:
        await current_process.get().simulation.scheduler.yield_point(f"{_caller()}: not read")
        return await super().read(work)

    async def write(self, work: Work[Result]) -> Result:
        simulation, operation = current_process.get().simulation, _caller()
        await simulation.scheduler.yield_point(f"{operation}: not begun")
        if simulation.failing_writes > 0:
            simulation.failing_writes -= 1
            raise DatabaseError("the disk is full")

        def crashing(connection: Connection) -> Result:
            result = work(connection)
            simulation.scheduler.crash_point(f"{operation}: not committed")
            return result

        result = await super().write(crashing)
        simulation.scheduler.crash_point(f"{operation}: committed")
        return result


def _caller() -> str:
    """Return the name of the method that awaits `read` or `write`."""
    return sys._getframe(2).f_code.co_name


class InlineExecutor(Executor):
    """Runs each function where it is submitted, so that no step depends on the timing of threads."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def submit(self, fn: Callable[..., Returned], /, *args: Any, **kwargs: Any) -> Future[Returned]:
        future: Future[Returned] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # Future.result() raises it
            future.set_exception(error)
        return future


async def run_inline(function: Callable[..., Returned], /, *args: Any, **kwargs: Any) -> Returned:
    """Replaces `asyncio.to_thread` for the same reason."""
    return function(*args, **kwargs)


class DummyMediaChecker:
    """Replaces MediaChecker where the media check is off."""

    def __init__(self, **_: object) -> None:
        pass

    def __enter__(self) -> DummyMediaChecker:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class ExpiringMediaChecker(DummyMediaChecker):
    """Rejects expired URLs, as the media check does; accepts every other URL."""

    async def check(self, url: str, role: MediaRole) -> MediaReport:
        is_valid = not url.endswith(EXPIRED)
        rule = RuleResult(
            code=f"{role}.url-expired",
            expected="valid now",
            actual="expired",
            passed=is_valid,
            hint="sign it again",
        )
        has_facts = is_valid and role in {MediaRole.DATASET, MediaRole.CONSENT}
        return MediaReport(role=role, facts=VALID_FACTS if has_facts else None, checks=(rule,))


class DummyPrefectClient:
    """Replaces the Prefect client: no flow run exists."""

    async def __aenter__(self) -> DummyPrefectClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def read_flow_run(self, run_id: UUID) -> None:
        raise ObjectNotFound(LookupError(run_id))

    async def read_flow_runs(self, **_: object) -> list[object]:
        return []


def _client(api_url: str, api_key: str, **options: Any) -> ArgilClient:
    return ArgilClient(api_url, api_key, transport=current_process.get().simulation.transport, **options)


def _wakeups(deliveries: WebhookDeliveryRepository) -> WebhookWakeups:
    """Read the webhook deliveries only once: every further read would depend on real time."""

    async def forever(_seconds: float) -> None:
        await asyncio.Event().wait()

    return WebhookWakeups(deliveries, sleep=forever)


@contextlib.asynccontextmanager
async def _acquire_shared() -> AsyncIterator[Any]:
    """Share one context per simulated process; services.context shares one per event loop."""
    yield current_process.get().shared


async def _nothing(*_: object, **__: object) -> None:
    pass


def _call_undecorated(decorated: Any, *args: Any, **options: Any) -> Any:
    return decorated.fn(*args, **options)


def bypass_prefect(patch: pytest.MonkeyPatch) -> None:
    """Make flows and tasks call their plain functions, without flow runs and task runs."""
    patch.setattr(prefect.Task, "__call__", _call_undecorated)
    patch.setattr(prefect.Flow, "__call__", _call_undecorated)
    for name, replacement in {
        "get_client": DummyPrefectClient,
        "emit_event": lambda **_: None,
        "put_artifact": _nothing,
    }.items():
        for module in [
            module
            for key, module in sys.modules.items()
            if key.startswith(("tasks.", "services.", "flows.")) and hasattr(module, name)
        ]:
            patch.setattr(module, name, replacement)


def install_fakes(patch: pytest.MonkeyPatch) -> None:
    """Install all fakes of this module."""
    bypass_prefect(patch)
    patch.setattr("uuid.uuid4", deterministic_uuid4)
    patch.setattr("store.sqlite_backend.ThreadPoolExecutor", InlineExecutor)
    patch.setattr("asyncio.to_thread", run_inline)
    patch.setattr("store.migrate.ensure_schema", _nothing)  # each simulation copies a ledger with its schema
    patch.setattr("services.store.Database", CrashingDatabase)
    for name, replacement in {
        "ArgilClient": _client,
        "MediaChecker": DummyMediaChecker,
        "WebhookWakeups": _wakeups,
        "_acquire_shared": _acquire_shared,
    }.items():
        patch.setattr(f"services.context.{name}", replacement)
