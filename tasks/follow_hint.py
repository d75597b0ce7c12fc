"""Follows a webhook's hint where nobody watches: looks at the avatar, and wakes the run that sleeps over it."""

from __future__ import annotations

from clients.training_news import look_at
from tasks.runtime import runtime
from tasks.wake_runs import wake_runs


async def follow_hint(avatar_id: str) -> None:
    """Look at an avatar in training that no driver holds; where Argil says it has ended, resume its run.

    Does nothing for an avatar that the ledger does not know, whose end it has seen, or that a driver watches:
    a watch reads the deliveries itself. What has no run to resume is left to reconcile. Raises
    ArgilUnauthorized, SettingsError, DatabaseError, and what Prefect's API raises.
    """
    async with runtime() as active:
        provisioning = await active.deliveries.unwatched(avatar_id)
        if provisioning is None:
            return
        avatar = (await look_at(active.argil, [avatar_id])).get(avatar_id)
        if avatar is not None and avatar.is_settled:
            await wake_runs.fn([provisioning])
