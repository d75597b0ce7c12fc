"""`avatars webhook`: has Argil tell our receiver when a training ends. Shows the token to nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from cyclopts import App, Parameter
from rich.markup import escape
from rich.table import Table

from cli.console import print_json, result, say
from cli.running import find_key
from clients.argil import ArgilClient
from clients.webhook_registration import register_once, remove_all
from models.clock import SystemClock
from models.outcomes import EXIT_OK
from models.settings import Settings
from models.webhook import EVENTS, masked, receiver_url

T = TypeVar("T")

webhook = App(name="webhook", help="Have Argil tell when a training ends.")


def _asked(question: Callable[[ArgilClient], Awaitable[T]], settings: Settings) -> T:
    key = find_key(settings)

    async def ask() -> T:
        async with ArgilClient(
            settings.argil_api_url,
            key,
            clock=SystemClock(),
            requests_per_second=settings.avatars_requests_per_second,
        ) as argil:
            return await question(argil)

    return asyncio.run(ask())


@webhook.command
def register(*, url: str) -> int:
    """Have Argil send its deliveries to the receiver behind a public address; twice registers once.

    Parameters
    ----------
    url
        The receiver's https address, as https://avatars.example.com; the path with AVATARS_WEBHOOK_TOKEN is added.

    """
    address = receiver_url(url)
    settings = Settings.load()
    token = settings.require_webhook_token()
    is_new = _asked(lambda argil: register_once(argil, address, token), settings)
    told = "registered" if is_new else "was registered already:"
    result.print(f"{told} {masked(address + token)} for {', '.join(EVENTS)}", markup=False, soft_wrap=True)
    return EXIT_OK


@webhook.command(name="list")
def list_webhooks(*, json: Annotated[bool, Parameter(negative=())] = False) -> int:
    """List the webhooks of the Argil account.

    Parameters
    ----------
    json
        Print one JSON array on stdout and nothing else.

    """
    found = _asked(lambda argil: argil.webhooks(), Settings.load())
    if json:
        print_json([{"id": one.id, "url": masked(one.url), "events": list(one.events)} for one in found])
        return EXIT_OK
    table = Table("URL", "Events", "ID")
    for one in found:
        table.add_row(escape(masked(one.url)), escape(", ".join(one.events)), escape(one.id))
    result.print(table)
    return EXIT_OK


@webhook.command
def remove(*, url: str) -> int:
    """End the deliveries to the receiver behind a public address, whatever its token was.

    Parameters
    ----------
    url
        The address that was registered.

    """
    address = receiver_url(url)
    count = _asked(lambda argil: remove_all(argil, address), Settings.load())
    if count:
        result.print(f"removed {count} of {address}…", markup=False, soft_wrap=True)
    else:
        say(f"Argil has no webhook of {address}…")
    return EXIT_OK
