"""The next provisioning that was recorded without being submitted."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from datetime import datetime, timedelta

from models.errors import DayBudgetUsed, SubmissionPaused
from models.provisioning import LeaseOwner, Provisioning
from models.request import RequestKind
from models.request_kinds import SUBMITTED_KINDS
from models.text.plural import counted
from services.account.argil_outages import OutageCheck
from services.context import AppContext
from services.ticks import Tick
from store.observations import Observation

RETRY_BLOCKED_AFTER = timedelta(minutes=10)
"""How long a provisioning that an operational error stopped waits before it is tried again."""
LATE_ERRORS = timedelta(minutes=2)
"""How long after the end of an outage a request that it stopped may still fail: it was in flight."""


class PendingProvisionings:
    """The pending provisionings that one tick takes; concurrent owners, on any machine, each get different ones.

    None is taken while a pause stands, the day has no budget, or unknown avatars wait for a person: neither are
    recordings checked in vain then, nor events appended. If a pause waits for a probe, one provisioning is taken.
    A pause of video requests leaves image requests alone.
    """

    def __init__(self, context: AppContext, owner: LeaseOwner, tick: Tick) -> None:
        self._context = context
        self._owner = owner
        self._tick = tick
        self._started_at = context.clock.now()
        """Provisionings that changed later are left to the next run."""
        self.outage = OutageCheck(context, tick, has_answered=False)
        """Asks Argil once the first pending provisioning is found, and again after an error."""
        self._is_over = False

    async def acquire_next(self) -> Provisioning | None:
        """Return the next pending provisioning with its lease acquired.

        Returns:
            None if there are no more, the tick is over, Argil does not answer, or no submission is allowed.

        Raises:
            ArgilUnauthorized: Argil rejects the API key.
            ArgilPathNotFound: ARGIL_API_URL is not the address of the API.
            DatabaseError: The ledger cannot be read or written.
        """
        if self._is_over or self._tick.is_over or await self._has_undecided():
            return None
        unpaused, probing = await self._admissible_kinds()
        for kind in probing:
            if (provisioning := await self._acquire_probe(kind)) is not None:
                return provisioning
        return await self._acquire(unpaused) if unpaused else None

    async def _admissible_kinds(self) -> tuple[list[RequestKind], list[RequestKind]]:
        """Return the kinds that may be submitted, and those of which one submission may end a pause."""
        limits = await self._context.limits.read(self._context.guard)
        unpaused: list[RequestKind] = []
        probing: list[RequestKind] = []
        for kind in SUBMITTED_KINDS:
            state = limits.of_kind(kind)
            with contextlib.suppress(SubmissionPaused, DayBudgetUsed):
                state.require()
                (probing if state.pauses else unpaused).append(kind)
        return unpaused, probing

    async def _acquire_probe(self, kind: RequestKind) -> Provisioning | None:
        """Return a pending provisioning of this kind as the probe of each pause; None if another one is."""
        limits, provisioning = self._context.limits, None
        try:
            await limits.reserve_probe(self._context.guard, self._owner.id, kind)
        except SubmissionPaused:
            return None
        try:
            provisioning = await self._acquire([kind], is_probe=True)
        finally:
            if provisioning is None:
                await limits.return_probe({self._owner.id})
        return provisioning

    async def _has_undecided(self) -> bool:
        """Return whether a person must decide about unknown avatars first; fleet report and doctor name them."""
        context = self._context
        if context.settings.avatars_ignore_unknown:
            return False
        if count := await context.unknown_avatars.count_undecided():
            self._tick.note = f"nothing is submitted, because of {counted(count, 'unknown avatar')} at Argil"
        return bool(count)

    async def _acquire(self, kinds: Collection[RequestKind], *, is_probe: bool = False) -> Provisioning | None:
        context = self._context
        provisioning = await context.leases.acquire_next_pending(
            self._owner,
            context.lease_duration,
            started_at=self._started_at,
            blocked_before=await self._blocked_before(),
            kinds=kinds,
            is_probe=is_probe,
        )
        if provisioning is None:
            return None
        is_answering = False
        try:
            is_answering = await self.outage.is_answering()
        finally:
            if not is_answering:
                self._is_over = True
                await context.leases.release(provisioning.id, self._owner)
        return provisioning if is_answering else None

    async def _blocked_before(self) -> datetime:
        """Return until when an error must have stopped a provisioning, so that it is tried again now.

        Those that an outage may have stopped do not wait any longer than the outage.
        """
        now = self._context.clock.now()
        recovered_at = (await self._context.observations.read_all()).get(Observation.ARGIL_RECOVERED)
        times = [now - RETRY_BLOCKED_AFTER]
        if recovered_at is not None and recovered_at <= now:  # otherwise, the clock was set back since
            times.append(min(recovered_at + LATE_ERRORS, now))
        return max(times)
