"""Whether a provisioning may be submitted now: the pauses and the spend guard, before its recordings are checked.

The ledger checks both again when the submission is recorded, because others may have used up the budget meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from clients.argil import CREATE_RETRY_BUDGET_SECONDS
from models.errors import DatabaseError, RatePaused
from models.provisioning import LeaseOwner, Provisioning
from services.context import AppContext

Result = TypeVar("Result")


async def require_admission(context: AppContext, provisioning: Provisioning, owner: LeaseOwner) -> None:
    """Return if the provisioning may be submitted now; the probe of a pause is then reserved for it.

    Raises:
        SubmissionPaused: A pause stands.
        DayBudgetUsed: AVATARS_MAX_CREATES_PER_DAY is used up.
        BatchBudgetUsed: AVATARS_MAX_CREATES_PER_BATCH is used up.
        DatabaseError: The ledger cannot be read or written.

    """
    state = (await context.limits.read(context.guard, provisioning.batch_id)).of_kind(provisioning.kind)
    state.require(reserved_by={provisioning.id, owner.id})
    if state.pauses:
        reserved_by = {provisioning.id, owner.id}
        await context.limits.reserve_probe(context.guard, provisioning.id, provisioning.kind, reserved_by)


async def return_probe(context: AppContext, provisioning: Provisioning, owner: LeaseOwner) -> None:
    """Let another provisioning be the probe of a pause if this one has it reserved and was not submitted.

    Otherwise one that can never be submitted would be the next probe again, and the pause would not end. If the
    ledger fails, another probe follows after MAX_PAUSE.
    """
    reserved_by = {provisioning.id, owner.id}
    with contextlib.suppress(DatabaseError):
        state = await context.limits.read(context.guard)
        if any(pause.probe_id in reserved_by for pause in state.pauses):
            await context.limits.return_probe(reserved_by)


async def wait_out_rate_pause(context: AppContext, attempt: Callable[[], Awaitable[Result]]) -> Result:
    """Return the result of an attempt, made again after a pause of requests that is short.

    All waits together take at most as long as the retries of a submission.

    Raises:
        RatePaused: The pause lasts longer.

    """
    deadline = context.clock.monotonic() + CREATE_RETRY_BUDGET_SECONDS
    while True:
        try:
            return await attempt()
        except RatePaused as paused:
            if context.clock.monotonic() + paused.retry_after_seconds > deadline:
                raise
            await context.clock.sleep(paused.retry_after_seconds)
