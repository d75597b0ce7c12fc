"""The task that decides whether an avatar for which Argil has long answered 404 is gone."""

from __future__ import annotations

from datetime import timedelta

from prefect import task

from models.errors import AvatarsMissing, PollFailed
from models.provisioning import LeaseOwner, Provisioning, Status
from models.vanished import is_gone, is_mass_absence
from services.context import app_context
from services.outcomes import transition_to_terminal
from services.prefect_options import TASK_OPTIONS

_HINT = "check ARGIL_API_URL, the API key and its workspace with `avatars doctor`, then run `avatars resume {}`"


@task(**TASK_OPTIONS)
async def record_absence(provisioning: Provisioning, owner: LeaseOwner) -> Provisioning:
    """Return the provisioning VANISHED, or still in TRAINING if the account list contains its avatar.

    models/vanished.py has the rule.

    Raises:
        AvatarsMissing: The 404s do not prove that the avatar is gone; nothing changed.
        ArgilUnauthorized: Argil rejects the API key.
        StaleVersion: Another owner changed the provisioning since it was read.
        DatabaseError: The ledger cannot be read or written.

    """
    hint = _HINT.format(provisioning.id)
    async with app_context() as context:
        in_training, not_found = await context.ledger.count_absences()
        if is_mass_absence(in_training, not_found):
            raise AvatarsMissing(
                f"Argil answers 404 for {not_found} of {in_training} avatars in training", hint=hint
            )
        listed_at = context.clock.now()
        try:
            account = await context.argil.list_account()
        except PollFailed as error:
            raise AvatarsMissing(
                f"Argil answers 404 for avatar {provisioning.avatar_id}, and the list call failed: {error}",
                hint=hint,
            ) from None
        if any(avatar.id == provisioning.avatar_id for avatar in account.avatars):
            await context.ledger.clear_not_found([provisioning.id])
            return await context.ledger.get(provisioning.id)
        if account.incomplete_because:
            raise AvatarsMissing(
                f"Argil answers 404 for avatar {provisioning.avatar_id}, and {account.incomplete_because}",
                hint=hint,
            )
        gone_after = timedelta(seconds=context.settings.avatars_gone_after_seconds)
        if not is_gone(provisioning.not_found_since, listed_at, context.clock.now(), gone_after):
            return provisioning
        return await transition_to_terminal(context, provisioning, owner, Status.VANISHED)
