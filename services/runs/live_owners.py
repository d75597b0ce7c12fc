"""Recognizes lease owners that are alive although their lease seems to have expired.

After a step of the wall clock, every lease seems to have expired until its owner renews it. Reconciliation would
restart the runs of live processes.
"""

from __future__ import annotations

from models.provisioning import Provisioning
from services.context import AppContext
from services.leases import RENEWALS_PER_LEASE

RENEWAL_INTERVALS_TO_WAIT = 1.5
"""A live owner renews its leases within one interval."""


class LiveOwners:
    """Leaves out the provisionings of live owners. One wait serves all pages of a pass."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._has_waited = False

    async def leave_out(self, provisionings: list[Provisioning]) -> list[Provisioning]:
        """Return the provisionings without an owner, and those whose owner does not renew its expired lease.

        Raises DatabaseError.
        """
        expired = [item.id for item in provisionings if item.lease_owner is not None]
        if not expired:
            return provisionings
        if not self._has_waited:
            interval = self._context.lease_duration.total_seconds() / RENEWALS_PER_LEASE
            await self._context.clock.sleep(interval * RENEWAL_INTERVALS_TO_WAIT)
            self._has_waited = True
        orphaned = await self._context.ledger.find_unleased_ids(expired)
        return [item for item in provisionings if item.lease_owner is None or item.id in orphaned]
