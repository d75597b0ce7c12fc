"""One reconciliation pass over a PostgreSQL ledger with many provisionings in training, without and with news."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.account_process import AccountProcess, run_account
from benchmarks.batch import prefect_server_for
from benchmarks.implementations import AVATARS_BATCH
from benchmarks.postgresql import postgresql_databases
from benchmarks.process_metrics import ProcessCost, measure_command, pinned_to_core
from benchmarks.seed_trainings import seed_trainings
from benchmarks.simulator_process import SERVER_CORE, WORKLOAD_CORE
from models.clock import SystemClock
from models.provisioning import Status
from store.database import Database
from store.ledger import Ledger

IN_FLIGHT = 100_000
ENDED = 2_000
INTERVAL_SECONDS = 3_600.0
"""AVATARS_RECONCILE_INTERVAL_SECONDS, after which a pass leaves the rest to the next one: here one does it all."""
BARE = "bare asyncio + httpx + asyncpg"
RECONCILE = "avatars reconcile"
COMMANDS = {
    BARE: [sys.executable, "-m", "benchmarks.baselines.list_and_compare"],
    RECONCILE: [sys.executable, "-m", "cli", "reconcile"],
}
LIST_ROUTE, GET_ROUTE = "GET /avatars", "GET /avatars/{id}"


@dataclass(frozen=True)
class ReconcileMeasurement:
    """The cost of one pass of one implementation, and the requests that it sent."""

    implementation: str
    in_flight: int
    ended: int
    """Trainings that ended since the previous pass."""
    cost: ProcessCost
    recorded: int
    """Provisionings that this pass set to READY: the bare script writes nothing."""
    requests: Counter[str]

    @property
    def list_calls(self) -> int:
        """GET /avatars."""
        return self.requests[LIST_ROUTE]

    @property
    def gets(self) -> int:
        """GET /avatars/{id}."""
        return self.requests[GET_ROUTE]

    @property
    def other_requests(self) -> int:
        """Every other request, for example GET /voices."""
        return self.requests.total() - self.list_calls - self.gets


def measure(
    in_flight: int = IN_FLIGHT,
    ended: int = ENDED,
    *,
    limit_seconds: float,
    report_progress: Callable[[str], object] = print,
) -> list[ReconcileMeasurement]:
    """Measure both implementations, without news and after `ended` trainings ended.

    Raises:
        CommandFailed: A command ended with an error.
        RuntimeError: The simulated account does not run.
    """
    measured: list[ReconcileMeasurement] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        account = stack.enter_context(run_account(in_flight, ended))
        with pinned_to_core(SERVER_CORE):
            [url] = stack.enter_context(postgresql_databases(folder, ("ledger",)))
        started_at = time.monotonic()
        asyncio.run(seed_trainings(url, account.avatar_ids))
        report_progress(f"{in_flight} provisionings in training in {time.monotonic() - started_at:.0f} s")
        stack.enter_context(pinned_to_core(WORKLOAD_CORE))
        _, prefect = stack.enter_context(prefect_server_for(AVATARS_BATCH, folder))
        environment = {
            **account.simulator.settings,
            **prefect,
            "HOME": str(folder),
            "AVATARS_DATABASE_URL": url,
            "AVATARS_RECONCILE_INTERVAL_SECONDS": str(INTERVAL_SECONDS),
        }
        for news in (0, ended):
            if news:
                account.end_trainings()
            for implementation in COMMANDS:
                measurement = _measure(implementation, account, news, environment, folder, limit_seconds)
                report_progress(f"{implementation}, {news} ended: {measurement.cost}")
                measured.append(measurement)
    return measured


def _measure(
    implementation: str,
    account: AccountProcess,
    ended: int,
    environment: dict[str, str],
    folder: Path,
    limit_seconds: float,
) -> ReconcileMeasurement:
    url = environment["AVATARS_DATABASE_URL"]
    requests, ready = Counter(account.simulator.requests()), _count_ready(url)
    cost = measure_command(COMMANDS[implementation], environment, folder, limit_seconds=limit_seconds)
    return ReconcileMeasurement(
        implementation,
        len(account.avatar_ids),
        ended,
        cost,
        _count_ready(url) - ready,
        Counter(account.simulator.requests()) - requests,
    )


def _count_ready(url: str) -> int:
    async def count() -> int:
        database = Database(url)
        try:
            return (await Ledger(database, SystemClock()).count_by_status()).get(Status.READY, 0)
        finally:
            await database.close()

    return asyncio.run(count())
