"""Delivers the end of each training to the account's webhooks: one attempt each, as no retries are documented."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx

from simulator.scenarios import IDLE, TRAINING_FAILED
from simulator.world import World

EVENTS = {IDLE: "AVATAR_TRAINING_SUCCESS", TRAINING_FAILED: "AVATAR_TRAINING_FAILED"}
"""What each end of a training is delivered as. The document has no event for REFUSED."""
LOOK_SECONDS = 0.05
ATTEMPT_SECONDS = 5.0
AT_ONCE = 10


def delivery(avatar: dict[str, Any]) -> dict[str, Any] | None:
    """Return what is delivered of an avatar whose training has ended; None for an end without an event."""
    event = EVENTS.get(avatar["status"])
    if event is None:
        return None
    data = {"avatarId": avatar["id"], "avatarName": avatar["name"], "extras": avatar["extras"]}
    if avatar["status"] == IDLE:
        data["voiceId"] = str(uuid.uuid5(uuid.NAMESPACE_URL, avatar["id"]))
    return {"event": event, "data": data}


@contextlib.asynccontextmanager
async def delivering(world: World) -> AsyncIterator[None]:
    """Deliver from the event loop of the server, while the context is open; what is under way then is dropped.

    Real time drives it: it looks again every LOOK_SECONDS at which trainings have ended by the world's clock.
    """
    task = asyncio.create_task(_deliver(world))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _deliver(world: World) -> None:
    async with asyncio.TaskGroup() as attempts:
        turn = asyncio.Semaphore(AT_ONCE)
        while True:
            for avatar in world.newly_ended():
                body = delivery(avatar)
                for url in world.webhooks.urls(body["event"]) if body else ():
                    attempts.create_task(_attempt(url, body, turn))
            await asyncio.sleep(LOOK_SECONDS)


async def _attempt(url: str, body: Any, turn: asyncio.Semaphore) -> None:
    async with turn:
        with contextlib.suppress(Exception):  # whatever comes of it: nobody is told, and nothing is sent again
            async with httpx.AsyncClient(timeout=ATTEMPT_SECONDS, verify=_tls(), trust_env=False) as client:
                await client.post(url, json=body)


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()
