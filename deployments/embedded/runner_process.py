"""Registers every deployment, executes their runs and handles the stored webhook deliveries.

Run as `python -m deployments.embedded.runner_process` by the embedded stack.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from prefect.client.orchestration import get_client
from prefect.logging.configuration import ensure_logging_setup
from prefect.runner import Runner

from deployments.catalog import add_to_runner
from deployments.embedded.forkserver_runner import use_forkserver
from deployments.embedded.orphaned_runs import delete_missed_runs, reschedule_orphaned_runs
from deployments.embedded.stack import READY_FD_VARIABLE, STACK_ID_VARIABLE
from deployments.embedded.stack_lease import StackLease
from models.clock import SystemClock
from models.errors import AvatarsError
from models.settings import Settings
from services.api_key import resolve_api_key
from services.context import app_context
from services.prefect_api.credentials_block import ArgilCredentials
from services.prefect_api.prefect_patches import install_hooks, patch_runner_requests
from services.runs.housekeeping import keep_house
from services.webhooks.webhook_handler import handle_deliveries
from tasks.publish_fleet_report import publish_fleet_report

NAME = "avatars"
MAX_CONCURRENT_RUNS = 4
"""Each run needs up to 100 MB and some CPU at its start; suspended runs need neither."""
QUERY_SECONDS = 2.0

logger = logging.getLogger("deployments.embedded.runner_process")  # __name__ is "__main__" here


def log_warnings_to_stderr() -> None:
    """Write the warnings of this package to stderr. The stack silences Prefect's own console handlers."""
    ensure_logging_setup()  # a later call would remove our handler
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    for name in ("deployments", "services", "avatars"):
        logging.getLogger(name).addHandler(handler)


async def serve() -> None:
    """Run the runner until SIGTERM, and handle webhook deliveries if a token is configured.

    First acquires the lease on the Prefect API, then reschedules the orphaned runs of an earlier runner, for
    example one that was killed. Schedules stay active on exit, so that another runner can take over.

    Raises:
        AvatarsError: The settings, the API key or the ledger cannot be used, or another stack uses the Prefect API.
    """
    async with get_client() as client:
        lease = StackLease(client, os.environ.pop(STACK_ID_VARIABLE), SystemClock())
        await lease.acquire()
        await _run_until_lost(_serve(), lease.hold())


async def _run_until_lost(service: Coroutine[Any, Any, None], lease: Coroutine[Any, Any, None]) -> None:
    """Run the service while the lease is held; raise the error of the first of both that ends."""
    tasks = [asyncio.create_task(service), asyncio.create_task(lease)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _serve() -> None:
    if count := await reschedule_orphaned_runs():
        logger.warning("%d orphaned runs of an earlier runner were rescheduled", count)
    await keep_house(delete_missed_runs, "missed scheduled runs were not deleted")
    settings = Settings.load()
    await resolve_api_key(settings)  # fail here once instead of in every run
    await ArgilCredentials.aregister_type_and_schema()
    if "avatars_watch_before_suspend_seconds" not in settings.model_fields_set:
        # A run that polls occupies one of the MAX_CONCURRENT_RUNS concurrency slots.
        os.environ["AVATARS_WATCH_BEFORE_SUSPEND_SECONDS"] = "0"
    use_forkserver()
    patch_runner_requests()
    runner = Runner(name=NAME, limit=MAX_CONCURRENT_RUNS, query_seconds=QUERY_SECONDS, pause_on_shutdown=False)
    await add_to_runner(runner, settings)
    await publish_first_report()
    async with contextlib.AsyncExitStack() as stack:
        if settings.avatars_webhook_token is not None:
            context = await stack.enter_async_context(app_context())
            await stack.enter_async_context(handle_deliveries(context.deliveries))
        await _run_until_signal(runner)


async def publish_first_report() -> None:
    """Publish the fleet report, so that its page exists before its schedule; a failure is logged."""

    async def publish() -> int:
        await publish_fleet_report.fn()
        return 1

    try:
        await keep_house(publish, "the fleet report was not published at the start")
    except AvatarsError as error:  # its schedule tries again
        logger.warning("the fleet report was not published at the start: %s", error.message)


async def _run_until_signal(runner: Runner) -> None:
    if descriptor := os.environ.pop(READY_FD_VARIABLE, None):
        os.write(int(descriptor), b"ready\n")
        os.close(int(descriptor))
    running = asyncio.create_task(runner.start())
    # At its first await the runner has installed its own SIGTERM handler, which interrupts its loop. Replace it.
    await asyncio.sleep(0)
    # Each run's process receives the same signal and exits. The stack then reschedules the orphaned runs.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    await running


if __name__ == "__main__":
    install_hooks()
    log_warnings_to_stderr()
    try:
        asyncio.run(serve())
    except AvatarsError as error:
        sys.exit(f"{error.message}\n{error.hint}".rstrip())
