"""An event loop in a thread of its own, which runs coroutines for the event loops of other threads.

asyncpg decodes rows on the event loop that it runs on, and makes a TLS context there for each connection. A page of
500 avatars takes 25 ms of CPU time, which would delay everything else on that loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from store.errors import not_started_error

Result = TypeVar("Result")


class LoopThread:
    """Runs coroutines in one thread, which starts on first use."""

    def __init__(self, name: str) -> None:
        """Prepare the thread; `name` is shown by debuggers."""
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run the coroutine in the thread and return its result, or raise its error.

        If the caller is cancelled, the coroutine is cancelled, and the caller waits for its end: a transaction has
        been rolled back when the cancellation is seen.

        Raises:
            DatabaseError: The system starts no more threads; nothing was run.
        """
        try:
            loop = self._started_loop()
        except RuntimeError as error:
            coroutine.close()
            raise not_started_error(error) from None
        outcome: Future[Result] = Future()
        tasks: list[asyncio.Task[Result]] = []

        def start() -> None:
            task = loop.create_task(coroutine)
            task.add_done_callback(lambda task: _deliver(task, outcome))
            tasks.append(task)

        def cancel() -> None:
            tasks[0].cancel()

        loop.call_soon_threadsafe(start)
        waiting = asyncio.wrap_future(outcome)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            loop.call_soon_threadsafe(cancel)
            await asyncio.wait({waiting})
            waiting.exception()  # it has been seen: a cancelled caller has no use for it
            raise

    async def close(self) -> None:
        """End the thread. No coroutine may be in progress."""
        await asyncio.to_thread(self._close)

    def _started_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                # A daemon: a process that fails before it closes its database ends all the same.
                self._thread = threading.Thread(target=loop.run_forever, name=self._name, daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:
                    loop.close()
                    raise
                self._loop = loop
            return self._loop

    def _close(self) -> None:
        with self._lock:
            if self._loop is None or self._thread is None:
                return
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None


def _deliver(task: asyncio.Task[Result], outcome: Future[Result]) -> None:
    if task.cancelled():
        outcome.set_exception(asyncio.CancelledError())
    elif (error := task.exception()) is not None:
        outcome.set_exception(error)
    else:
        outcome.set_result(task.result())
