"""Registers the webhook receiver at Argil, once per address."""

from __future__ import annotations

from clients.argil import ArgilClient
from models.argil.webhook import SUBSCRIBED_EVENTS, Webhook


async def ensure_registered(argil: ArgilClient, address: str, token: str) -> bool:
    """Register the receiver at `address` (see `receiver_url`) unless it is registered with this token.

    Other webhooks of this address (an old token, other events, duplicates) are removed afterwards, so that one
    webhook is registered at every moment. The call is idempotent and can be repeated after an error.

    Returns:
        True if the receiver was not registered before.

    Raises:
        OperationalError: Argil does not respond or refuses a request.
    """
    url = address + token
    webhooks = await _webhooks_at(argil, address)
    current = next(
        (webhook for webhook in webhooks if webhook.url == url and set(SUBSCRIBED_EVENTS) <= set(webhook.events)),
        None,
    )
    if current is None:
        await argil.register_webhook(url, SUBSCRIBED_EVENTS)
    for webhook in webhooks:
        if webhook is not current:
            await argil.delete_webhook(webhook.id)
    return current is None


async def unregister_all(argil: ArgilClient, address: str) -> int:
    """Remove every webhook of the receiver at `address`, with any token, and return their number.

    Raises OperationalError.
    """
    webhooks = await _webhooks_at(argil, address)
    for webhook in webhooks:
        await argil.delete_webhook(webhook.id)
    return len(webhooks)


async def _webhooks_at(argil: ArgilClient, address: str) -> list[Webhook]:
    return [webhook for webhook in await argil.list_webhooks() if webhook.url.startswith(address)]
