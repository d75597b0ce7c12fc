"""Handles a webhook for an avatar that no lease owner watches: polls the avatar and resumes its suspended run."""

from __future__ import annotations

from clients.training_status import fetch_avatars
from services.context import app_context
from services.suspended_runs import resume_runs


async def handle_webhook_wakeup(avatar_id: str) -> None:
    """Poll an avatar in TRAINING without a lease; if its training has finished, resume its run.

    Ignores an avatar that the ledger does not know, that is terminal, or whose provisioning is leased: its lease
    owner reads the deliveries itself. A provisioning without a run to resume is left to reconcile-avatars.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        SettingsError: No API key was found.
        DatabaseError: The ledger cannot be read.
        httpx.HTTPError: The Prefect API does not respond.

    """
    async with app_context() as context:
        provisioning = await context.ledger.find_unleased_provisioning(avatar_id)
        if provisioning is None:
            return
        avatar = (await fetch_avatars(context.argil, [avatar_id])).get(avatar_id)
        if avatar is not None and avatar.is_terminal:
            await resume_runs([provisioning])
