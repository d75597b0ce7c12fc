"""`python -m deployments.runner`: registers every deployment, runs what is asked of them, takes webhooks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator

from prefect.logging.configuration import ensure_logging_setup
from prefect.runner import Runner

from deployments.catalog import serve_by
from deployments.left_behind import skip_missed_ticks, take_up_dead_runs
from deployments.prefect_server import HOST, port_refused
from deployments.preloaded import start_runs_preloaded
from deployments.stack import READY_DESCRIPTOR, WEBHOOK_PORT_HINT
from deployments.webhook_door import webhook_door
from models.errors import AvatarsError
from models.settings import Settings
from tasks.api_key import api_key
from tasks.credentials import ArgilCredentials

NAME = "avatars"
RUNS_AT_ONCE = 4
"""Each run starts with seconds of CPU and 100 MB; sleeping runs need neither."""
QUERY_SECONDS = 2.0

logger = logging.getLogger("deployments.runner")  # not `__name__`: it is run as a module


def warn_on_stderr() -> None:
    """Have what our own code warns of reach who runs the stack: Prefect's handlers are told to be silent there."""
    ensure_logging_setup()  # done later, it would take our handler away
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.getLogger("deployments").addHandler(handler)


async def serve() -> None:
    """Serve until the process is told to end. Schedules go on: another runner may take over.

    First takes up the runs that an earlier runner left behind, as when it was killed.
    """
    if count := await take_up_dead_runs():
        logger.warning("%d runs left by an earlier runner start again", count)
    await skip_missed_ticks()
    settings = Settings.load()
    await api_key(settings)  # said here once, not by each run
    await ArgilCredentials.aregister_type_and_schema()
    if "avatars_hold_seconds" not in settings.model_fields_set:
        os.environ["AVATARS_HOLD_SECONDS"] = "0"  # who holds takes the turn of others, of which there are few here
    start_runs_preloaded()
    runner = Runner(name=NAME, limit=RUNS_AT_ONCE, query_seconds=QUERY_SECONDS, pause_on_shutdown=False)
    await serve_by(runner, settings)
    async with _door(settings) as url:
        await _run(runner, url or "")


@contextlib.asynccontextmanager
async def _door(settings: Settings) -> AsyncIterator[str | None]:
    """Keep the webhook receiver open, where there is a token to tell Argil from others; yields its base URL."""
    if settings.avatars_webhook_token is None:
        yield None
        return
    port = settings.avatars_webhook_port
    async with contextlib.AsyncExitStack() as stack:
        try:
            url = await stack.enter_async_context(webhook_door(settings, host=HOST, port=port))
        except OSError as error:
            raise port_refused(port, error, hint=WEBHOOK_PORT_HINT) from None
        yield url


async def _run(runner: Runner, door: str) -> None:
    if descriptor := os.environ.pop(READY_DESCRIPTOR, None):
        os.write(int(descriptor), f"{door}\n".encode())
        os.close(int(descriptor))
    running = asyncio.create_task(runner.start())
    await asyncio.sleep(0)  # by its first pause it has set a handler that stops it badly, in the middle of its loop
    # Every run has got the same signal and ends by itself; what their ends leave is taken up afterwards.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    await running


if __name__ == "__main__":
    warn_on_stderr()
    try:
        asyncio.run(serve())
    except AvatarsError as error:
        sys.exit(f"{error.message}\n{error.hint}".rstrip())
