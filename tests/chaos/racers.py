"""Reconcilers and runners as processes of their own, without Prefect: `python -m tests.chaos.racers`.

Settings come from the environment, one line of JSON for each racer from stdin: the references that it runs, in
its order, or null for a reconciler. One line of JSON for each comes back on stdout.
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
from models.errors import LeaseHeld
from models.provisioning import Driver, Provisioning
from store.leases import Leases
from tasks.runtime import runtime
from tests.chaos.stand_ins import without_prefect

AT_ONCE = 20
BETWEEN_TICKS_SECONDS = 1.0


@dataclasses.dataclass
class Told:
    """What a racer did: how its flows ended, and when it held the lease on what."""

    kind: str
    ends: list[str] = dataclasses.field(default_factory=list)
    held: list[tuple[str, str, float, float]] = dataclasses.field(default_factory=list)
    """Provisioning, driver, from, until: in this machine's monotonic seconds, the same for every process."""
    lost_claims: int = 0


def _watch_leases(patch: pytest.MonkeyPatch, told: Told) -> None:
    claim, release = Leases.claim, Leases.release
    since: dict[tuple[str, str], float] = {}

    async def claimed(self: Leases, provisioning_id: str, driver: Driver, lease: timedelta) -> Provisioning:
        try:
            provisioning = await claim(self, provisioning_id, driver, lease)
        except LeaseHeld:
            told.lost_claims += 1
            raise
        since.setdefault((provisioning_id, driver.id), time.monotonic())
        return provisioning

    async def released(self: Leases, provisioning_id: str, driver: Driver) -> None:
        began = since.pop((provisioning_id, driver.id))
        told.held.append((provisioning_id, driver.id, began, time.monotonic()))
        await release(self, provisioning_id, driver)

    patch.setattr(Leases, "claim", claimed)
    patch.setattr(Leases, "release", released)


async def _reconcile(told: Told) -> None:
    """Tick until nothing is in flight."""
    async with runtime() as active:
        while any(not status.is_end for status in await active.ledger.counts()):
            told.ends.append(str((await reconcile_avatars.fn()).message))
            await asyncio.sleep(BETWEEN_TICKS_SECONDS)


async def _run(told: Told, references: list[str]) -> None:
    """Run the same requests again, as people and Prefect do whose runs died."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(reference: str) -> None:
        async with turn, runtime() as active:
            request = (await active.ledger.get(reference)).request
            state = await provision_avatar.fn(request, wait="hold")
            told.ends.append(str(state.name))

    async with runtime():
        await asyncio.gather(*(one(reference) for reference in references))


def _race(references: list[str] | None) -> Told:
    told = Told("reconciler" if references is None else "runner")
    with pytest.MonkeyPatch.context() as patch:
        without_prefect(patch)
        _watch_leases(patch, told)
        asyncio.run(_reconcile(told) if references is None else _run(told, references))
    return told


def _begin(references: list[str] | None) -> tuple[int, int]:
    """Fork a racer, from what was imported once; returns its id and where to read what it tells."""
    here, there = os.pipe()
    if pid := os.fork():
        os.close(there)
        return pid, here
    code = 1
    try:
        os.close(here)
        with os.fdopen(there, "w") as pipe:
            pipe.write(json.dumps(dataclasses.asdict(_race(references))))
        code = 0
    except BaseException:  # noqa: BLE001  # the parent tells
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> int:
    """Let all racers race; returns how many failed."""
    wanted: list[Any] = [json.loads(line) for line in sys.stdin]
    begun = [_begin(references) for references in wanted]
    failed = 0
    for pid, pipe in begun:
        with os.fdopen(pipe) as told:
            sys.stdout.write(told.read() + "\n")
        failed += os.waitpid(pid, 0)[1] != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
