"""Has Argil send deliveries to our receiver, registered once however often it is asked for."""

from __future__ import annotations

from clients.argil import ArgilClient
from models.webhook import EVENTS, Webhook


async def register_once(argil: ArgilClient, address: str, token: str) -> bool:
    """Register the receiver at `address` (see `receiver_url`); returns whether it was not registered so yet.

    Others of this address, with an old token, other events, or doubled, are removed afterwards: for no moment is
    there none. Raises OperatorError; asking again goes on where it stopped.
    """
    url = address + token
    there = await _of_address(argil, address)
    good = next((one for one in there if one.url == url and set(EVENTS) <= set(one.events)), None)
    if good is None:
        await argil.register_webhook(url, EVENTS)
    for one in there:
        if one is not good:
            await argil.remove_webhook(one.id)
    return good is None


async def remove_all(argil: ArgilClient, address: str) -> int:
    """Remove every webhook of the receiver at `address`, whatever its token; returns how many there were.

    Raises OperatorError.
    """
    there = await _of_address(argil, address)
    for one in there:
        await argil.remove_webhook(one.id)
    return len(there)


async def _of_address(argil: ArgilClient, address: str) -> list[Webhook]:
    return [one for one in await argil.webhooks() if one.url.startswith(address)]
