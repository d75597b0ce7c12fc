"""Reconcilers and runners in separate processes, without Prefect: `python -m tests.chaos.race_workers`.

Settings come from the environment. Each line of stdin is the JSON of one worker: the references that a runner runs,
in its order, or null for a reconciler. Each worker writes one line of JSON to stdout: its RaceReport.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
import time
import traceback
from datetime import timedelta
from typing import Any

import pytest

from flows.provision_avatar import provision_avatar
from flows.reconcile_avatars import reconcile_avatars
from models.errors import LeaseUnavailable
from models.provisioning import LeaseOwner, Provisioning
from models.request import ProvisioningRequest
from services.context import app_context
from store.leases import LeaseRepository
from tests.chaos.fakes import bypass_prefect

MAX_CONCURRENCY = 20
TICK_INTERVAL_SECONDS = 1.0


@dataclasses.dataclass
class RaceReport:
    """The work of one worker: the final states of its flows, and the leases that it held."""

    kind: str
    final_states: list[str] = dataclasses.field(default_factory=list)
    lease_intervals: list[tuple[str, str, float, float]] = dataclasses.field(default_factory=list)
    """Provisioning id, owner id, start and end; in monotonic seconds, which all processes of a machine share."""
    failed_acquisitions: int = 0


def _record_leases(patch: pytest.MonkeyPatch, report: RaceReport) -> None:
    acquire, release = LeaseRepository.acquire, LeaseRepository.release
    since: dict[tuple[str, str], float] = {}

    async def record_acquire(
        self: LeaseRepository, provisioning_id: str, owner: LeaseOwner, duration: timedelta
    ) -> Provisioning:
        try:
            provisioning = await acquire(self, provisioning_id, owner, duration)
        except LeaseUnavailable:
            report.failed_acquisitions += 1
            raise
        since.setdefault((provisioning_id, owner.id), time.monotonic())
        return provisioning

    async def record_release(self: LeaseRepository, provisioning_id: str, owner: LeaseOwner) -> None:
        started_at = since.pop((provisioning_id, owner.id))
        report.lease_intervals.append((provisioning_id, owner.id, started_at, time.monotonic()))
        await release(self, provisioning_id, owner)

    patch.setattr(LeaseRepository, "acquire", record_acquire)
    patch.setattr(LeaseRepository, "release", record_release)


async def _reconcile(report: RaceReport) -> None:
    """Reconcile until no provisioning is in flight."""
    async with app_context() as context:
        while any(not status.is_terminal for status in await context.ledger.count_by_status()):
            report.final_states.append(str((await reconcile_avatars.fn()).message))
            await asyncio.sleep(TICK_INTERVAL_SECONDS)


async def _run(report: RaceReport, references: list[str]) -> None:
    """Run the requests of crashed runs again, as callers and Prefect do."""
    semaphore = asyncio.Semaphore(MAX_CONCURRENCY)

    async def run_one(reference: str) -> None:
        async with semaphore, app_context() as context:
            request = (await context.ledger.get(reference)).request
            assert isinstance(request, ProvisioningRequest)
            state = await provision_avatar.fn(request, wait="block")
            report.final_states.append(str(state.name))

    async with app_context():
        await asyncio.gather(*(run_one(reference) for reference in references))


def _race(references: list[str] | None) -> RaceReport:
    report = RaceReport("reconciler" if references is None else "runner")
    with pytest.MonkeyPatch.context() as patch:
        bypass_prefect(patch)
        _record_leases(patch, report)
        asyncio.run(_reconcile(report) if references is None else _run(report, references))
    return report


def _fork(references: list[str] | None) -> tuple[int, int]:
    """Fork a worker, which inherits the imported modules; return its process id and the pipe of its report."""
    read_end, write_end = os.pipe()
    if pid := os.fork():
        os.close(write_end)
        return pid, read_end
    code = 1
    try:
        os.close(read_end)
        with os.fdopen(write_end, "w") as pipe:
            pipe.write(json.dumps(dataclasses.asdict(_race(references))))
        code = 0
    except BaseException:  # noqa: BLE001  # the exit code tells the parent process
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> int:
    """Run all workers concurrently; return how many failed."""
    orders: list[Any] = [json.loads(line) for line in sys.stdin]
    workers = [_fork(references) for references in orders]
    failed = 0
    for pid, pipe in workers:
        with os.fdopen(pipe) as output:
            sys.stdout.write(output.read() + "\n")
        failed += os.waitpid(pid, 0)[1] != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
