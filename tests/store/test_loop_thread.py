"""Coroutines that run on the event loop of another thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from models.errors import DatabaseError
from store.loop_thread import LoopThread

TIMEOUT_SECONDS = 30.0
"""Limits a hanging test; no test waits so long if the code is correct."""


@pytest.fixture
async def thread() -> AsyncIterator[LoopThread]:
    thread = LoopThread("test")
    async with asyncio.timeout(TIMEOUT_SECONDS):
        yield thread
        await thread.close()
    assert "test" not in {running.name for running in threading.enumerate()}


class Work:
    """A coroutine that waits until it may end, or is cancelled; then it needs a moment to clean up."""

    def __init__(self) -> None:
        self._started, self.end = threading.Event(), asyncio.Event()
        self.cleaned_up = False

    async def run(self) -> int:
        self._started.set()
        try:
            await self.end.wait()
        finally:
            await asyncio.sleep(0.05)
            self.cleaned_up = True
        return threading.get_ident()

    async def started(self) -> None:
        assert await asyncio.to_thread(self._started.wait, TIMEOUT_SECONDS)


async def test_coroutines_share_one_other_thread(thread: LoopThread) -> None:
    async def identify() -> tuple[int, str]:
        return threading.get_ident(), threading.current_thread().name

    async def identify_twice() -> list[tuple[int, str]]:
        return [await thread.run(identify()) for _ in range(2)]

    found = {*await identify_twice(), *await asyncio.to_thread(asyncio.run, identify_twice())}
    assert [name for _, name in found] == ["test"]
    assert threading.get_ident() not in {ident for ident, _ in found}


@pytest.mark.parametrize("error", [ValueError("own"), TimeoutError(), asyncio.CancelledError(), SystemError()])
async def test_error_is_raised_as_it_is(thread: LoopThread, error: BaseException) -> None:
    async def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        await thread.run(fail())


async def test_cancelled_caller_waits_for_the_end_of_its_coroutine(thread: LoopThread) -> None:
    work = Work()
    caller = asyncio.create_task(thread.run(work.run()))
    await work.started()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert work.cleaned_up


async def test_caller_that_is_cancelled_at_once_does_not_hang(thread: LoopThread) -> None:
    work = Work()
    caller = asyncio.create_task(thread.run(work.run()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller


async def test_slow_coroutine_does_not_delay_its_caller(thread: LoopThread) -> None:
    """The thread is blocked until the event loop of the caller goes on."""
    started, ended = threading.Event(), threading.Event()

    async def block() -> bool:
        started.set()
        return ended.wait(TIMEOUT_SECONDS)

    caller = asyncio.create_task(thread.run(block()))
    assert await asyncio.to_thread(started.wait, TIMEOUT_SECONDS)
    ended.set()
    assert await caller


async def test_thread_that_is_refused_is_a_clear_error(thread: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def answer() -> int:
        return 42

    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", refuse)
        with pytest.raises(DatabaseError, match="can't start new thread"):
            await thread.run(answer())
    assert await thread.run(answer()) == 42
