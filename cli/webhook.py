"""`avatars webhook`: register the webhook receiver at Argil. The token is never printed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from cyclopts import App
from pydantic_core import to_jsonable_python

from cli.argil_client import argil_client
from cli.console import print_json, print_line, print_status
from cli.flow_runner import load_api_key
from cli.options import JsonFlag
from clients.argil import ArgilClient
from clients.webhook_registration import ensure_registered, unregister_all
from models.argil.webhook import RECEIVER_PATH, SUBSCRIBED_EVENTS, Webhook, mask_token, receiver_url
from models.exit_codes import EXIT_OK
from models.settings import Settings
from models.text.plural import counted

T = TypeVar("T")

webhook = App(name="webhook", help="Manage the webhooks that report finished trainings.")


def _call_argil(operation: Callable[[ArgilClient], Awaitable[T]], settings: Settings) -> T:
    key = load_api_key(settings)

    async def call() -> T:
        async with argil_client(settings, key) as argil:
            return await operation(argil)

    return asyncio.run(call())


@webhook.command
def register(*, url: str) -> int:
    """Register the webhook receiver at Argil.

    Running the command again changes nothing.

    Args:
        url: Public HTTPS address of the receiver, for example https://avatars.example.com. The path with
            AVATARS_WEBHOOK_TOKEN is appended.

    """
    address = receiver_url(url)
    settings = Settings.load()
    token = settings.require_webhook_token()
    is_new = _call_argil(lambda argil: ensure_registered(argil, address, token), settings)
    result = "registered" if is_new else "already registered:"
    print_line(f"{result} {mask_token(address + token)} for {', '.join(SUBSCRIBED_EVENTS)}")
    return EXIT_OK


@webhook.command(name="list")
def list_webhooks(*, json: JsonFlag = False) -> int:
    """List the webhooks of the Argil account."""
    webhooks = _call_argil(lambda argil: argil.list_webhooks(), Settings.load())
    if json:
        print_json([_to_json(hook) for hook in webhooks])
        return EXIT_OK
    for hook in webhooks:
        last = f"{hook.last_triggered_at:%Y-%m-%d %H:%M} UTC" if hook.last_triggered_at else "never"
        print_line(f"{hook.id}  {', '.join(hook.events)}")
        print_line(f"  {mask_token(hook.url)}, last delivery: {last}")
    if not any(RECEIVER_PATH in hook.url for hook in webhooks):
        print_status("no receiver is registered: `avatars webhook register --url URL` registers it")
    elif not any(RECEIVER_PATH in hook.url and hook.last_triggered_at for hook in webhooks):
        print_status("Argil reports no delivery so far: check the proxy in front of the receiver")
    return EXIT_OK


def _to_json(hook: Webhook) -> dict[str, Any]:
    return {
        "id": hook.id,
        "url": mask_token(hook.url),
        "events": list(hook.events),
        "last_triggered_at": to_jsonable_python(hook.last_triggered_at),
    }


@webhook.command
def remove(*, url: str) -> int:
    """Remove all webhooks of a receiver, whatever their token.

    Args:
        url: Public HTTPS address that was registered.

    """
    address = receiver_url(url)
    count = _call_argil(lambda argil: unregister_all(argil, address), Settings.load())
    if count:
        print_line(f"removed {counted(count, 'webhook')} of {address}…")
    else:
        print_status(f"Argil has no webhook for {address}…")
    return EXIT_OK
