"""Limits how many requests the embedded Prefect server processes at a time, whatever its clients do.

Prefect allows 100 at a time if its database is SQLite, because of concurrent writes. It also counts WebSockets and
responses that a client does not read. A hundred idle ones would block every other request, without a password.
"""

from __future__ import annotations

import asyncio

from deployments.embedded.request_guard import App, Message, Receive, Scope, Send


class RequestSlots:
    """Passes requests to the app when one of the slots is free; WebSockets need none."""

    def __init__(self, app: App, limit: int) -> None:
        self._app = app
        self._slots = asyncio.Semaphore(limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request, one WebSocket or the lifespan of the app."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._slots.acquire()
        has_slot = True

        async def send_without_slot(message: Message) -> None:
            nonlocal has_slot
            self._slots.release()
            has_slot = False
            await send(message)  # waits until the client has read enough
            await self._slots.acquire()
            has_slot = True

        try:
            await self._app(scope, receive, send_without_slot)
        finally:
            if has_slot:
                self._slots.release()
