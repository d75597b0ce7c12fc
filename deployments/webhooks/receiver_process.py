"""The process of the webhook receiver.

Run as `python -m deployments.webhooks.receiver_process DESCRIPTOR` by the embedded stack, which owns the listening
socket. The process needs the ledger and the webhook token. It gets neither the API key nor access to Prefect.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import sys

from deployments.webhooks.limits import MAX_OPEN_FILES, NICENESS
from deployments.webhooks.receiver import Receiver, serve_receiver
from models.clock import Clock, SystemClock
from models.errors import AvatarsError, DatabaseError
from models.settings import Settings
from services.store import open_store
from store.webhook_deliveries import WebhookDeliveryRepository

PRUNE_INTERVAL_SECONDS = 3600.0

logger = logging.getLogger("deployments.webhooks.receiver_process")  # __name__ is "__main__" here


async def serve(listener: socket.socket) -> None:
    """Serve the receiver until SIGTERM.

    Raises:
        SettingsError: The webhook token is not set.
        DatabaseError: The ledger's database cannot be opened.
    """
    stop_requested = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop_requested.set)
    settings, clock = Settings.load(), SystemClock()
    token = settings.require_webhook_token()
    async with (
        open_store(settings, clock) as store,
        serve_receiver(Receiver(token, store.deliveries, clock), listener),
    ):
        pruning = asyncio.create_task(prune_regularly(store.deliveries, clock))
        await stop_requested.wait()
        pruning.cancel()


async def prune_regularly(deliveries: WebhookDeliveryRepository, clock: Clock) -> None:
    """Delete old deliveries now and every PRUNE_INTERVAL_SECONDS, also while no delivery arrives."""
    while True:
        try:
            while await deliveries.prune():
                await clock.sleep(1)  # between two transactions others may write
        except DatabaseError as error:
            logger.warning("old webhook deliveries could not be deleted: %s", error)
        await clock.sleep(PRUNE_INTERVAL_SECONDS)


def limit_resources() -> None:
    """Bound the open files of this process, and let the other processes of the machine go first."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MAX_OPEN_FILES if hard_limit == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, hard_limit)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    os.nice(NICENESS)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    limit_resources()
    try:
        asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))
    except AvatarsError as error:
        sys.exit(f"{error.message}\n{error.hint}".rstrip())
