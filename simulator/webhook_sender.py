"""Delivers finished trainings to the webhooks of the account, and to the callback URL of a create request.

Each is attempted once: no retries are documented. Neither is the body that a callback URL receives.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx

from simulator.account import SimulatedAccount
from simulator.scenarios import IDLE, TRAINING_FAILED

EVENTS = {IDLE: "AVATAR_TRAINING_SUCCESS", TRAINING_FAILED: "AVATAR_TRAINING_FAILED"}
"""The event for each final status. No event is documented for REFUSED."""
POLL_SECONDS = 0.05
ATTEMPT_TIMEOUT_SECONDS = 5.0
MAX_CONCURRENT_POSTS = 10


def webhook_payload(avatar: dict[str, Any], voice_id: str | None) -> dict[str, Any] | None:
    """Return the payload for an avatar that finished training; None if its status has no event.

    Without a voice, a delivery about a success has no `voiceId`.
    """
    event = EVENTS.get(avatar["status"])
    if event is None:
        return None
    data = {"avatarId": avatar["id"], "avatarName": avatar["name"], "extras": avatar["extras"]}
    if avatar["status"] == IDLE and voice_id is not None:
        data["voiceId"] = voice_id
    return {"event": event, "data": data}


@contextlib.asynccontextmanager
async def deliver_webhooks(account: SimulatedAccount) -> AsyncIterator[None]:
    """Deliver webhooks on the event loop of the server while the context is open.

    Deliveries in progress are cancelled when it closes. Every POLL_SECONDS of real time it checks which trainings
    have finished by the clock of the account.
    """
    task = asyncio.create_task(_deliver(account))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _deliver(account: SimulatedAccount) -> None:
    async with asyncio.TaskGroup() as attempts:
        semaphore = asyncio.Semaphore(MAX_CONCURRENT_POSTS)
        while True:
            for avatar, callback_url in account.pop_finished():
                body = webhook_payload(avatar, account.delivered_voice_id(avatar["id"]))
                for url in account.webhooks.trigger(body["event"], account.now()) if body else ():
                    attempts.create_task(_post(url, body, semaphore))
                if callback_url is not None:
                    attempts.create_task(_post(callback_url, {"avatarId": avatar["id"]}, semaphore))
            await asyncio.sleep(POLL_SECONDS)


async def _post(url: str, body: Any, semaphore: asyncio.Semaphore) -> None:
    async with semaphore:
        with contextlib.suppress(Exception):  # the outcome is ignored: Argil documents no retries
            async with httpx.AsyncClient(timeout=ATTEMPT_TIMEOUT_SECONDS, verify=_tls(), trust_env=False) as client:
                await client.post(url, json=body)


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()
