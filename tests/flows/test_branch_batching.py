"""One subflow per branch for the provisionings that reach it within the batch window."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from flows.engine.branch_batching import BranchBatcher
from flows.engine.execution import Branch
from tests.fakes import FakeClock


class ManualClock(FakeClock):
    """A clock whose sleeps end when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.window_ended = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        await self.window_ended.wait()


async def start(*calls: asyncio.Task[None]) -> None:
    for _ in calls:
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_calls_within_the_window_share_one_subflow(clock: ManualClock) -> None:
    calls: list[list[str]] = []

    async def branch(ids: list[str]) -> None:
        calls.append(list(ids))

    batcher = BranchBatcher(clock)
    runs = [asyncio.create_task(batcher.run(cast("Branch", branch), f"id-{number}")) for number in range(3)]
    await start(*runs)
    clock.window_ended.set()
    await asyncio.gather(*runs)
    assert calls == [["id-0", "id-1", "id-2"]]
    await batcher.run(cast("Branch", branch), "id-3")
    assert calls[1:] == [["id-3"]]


async def test_branches_have_subflows_of_their_own(clock: ManualClock) -> None:
    calls: list[tuple[str, list[str]]] = []

    async def refused(ids: list[str]) -> None:
        calls.append(("refused", list(ids)))

    async def failed(ids: list[str]) -> None:
        calls.append(("failed", list(ids)))

    batcher = BranchBatcher(clock)
    runs = [
        asyncio.create_task(batcher.run(cast("Branch", branch), provisioning_id))
        for branch, provisioning_id in ((refused, "id-0"), (failed, "id-1"), (refused, "id-2"))
    ]
    await start(*runs)
    clock.window_ended.set()
    await asyncio.gather(*runs)
    assert sorted(calls) == [("failed", ["id-1"]), ("refused", ["id-0", "id-2"])]


async def test_error_of_a_subflow_reaches_every_caller(clock: ManualClock) -> None:
    async def branch(ids: list[str]) -> None:
        raise OSError(f"{len(ids)} provisionings")

    batcher = BranchBatcher(clock)
    runs = [asyncio.create_task(batcher.run(cast("Branch", branch), f"id-{number}")) for number in range(2)]
    await start(*runs)
    clock.window_ended.set()
    errors = await asyncio.gather(*runs, return_exceptions=True)
    assert [str(error) for error in errors] == ["2 provisionings"] * 2
