"""The task that re-opens a provisioning where it stopped."""

from __future__ import annotations

from prefect import task

from models.errors import StaleVersion
from models.provisioning import LeaseOwner, Provisioning
from services import reopening
from services.context import app_context
from services.prefect_api.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def reopen_provisioning(
    provisioning: Provisioning, owner: LeaseOwner, reason: str = "", *, by_person: bool = False
) -> Provisioning:
    """Return a TIMED_OUT, CANCELLED or VANISHED provisioning in the status where it stopped, any other unchanged.

    `by_person` is set if a person asked for it. Only then a CANCELLED one is re-opened, and the 404s so far of a
    training no longer count.

    Raises:
        InvalidRequest: The reason breaks a rule.
        ProvisioningErased: It was erased, and a person asked for it.
        DatabaseError: The ledger cannot be read or written.

    """
    async with app_context() as context:
        while True:
            try:
                return await reopening.resume(context.ledger, provisioning, owner, reason, by_person=by_person)
            except StaleVersion:
                current = await context.ledger.get(provisioning.id)
                if current.status.is_terminal and current.status is not provisioning.status:
                    return current  # for example, a person cancelled it meanwhile
                provisioning = current
