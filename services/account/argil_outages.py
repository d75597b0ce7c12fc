"""Finds out whether Argil answers, and reports each outage once at its start and once at its end.

The ledger stores that an outage has begun, so that the ticks of all processes report it once. A tick sends at most
two requests while Argil fails: its list and one poll, in case that only one of them fails. `OutageCheck` notices an
outage that begins in the middle of a tick.
"""

from __future__ import annotations

import logging
import math
import random
from dataclasses import dataclass
from datetime import datetime

from clients.shared_list import MAX_AGE_SECONDS
from models.argil.account_list import AccountList
from models.errors import ArgilUnavailable, AvatarNotFound, AvatarsError, PollFailed
from models.provisioning import Status
from services.context import AppContext
from services.prefect_api.events import emit_argil_event
from services.run_log import log_to_run
from services.ticks import Tick
from store.observations import Observation

DEGRADED_EVENT = "argil.degraded"
RECOVERED_EVENT = "argil.recovered"
POLL_CANDIDATES = 20
"""The trainings of which one is polled if the list fails."""


@dataclass(frozen=True, slots=True)
class AccountReading:
    """What one tick learned from Argil at its start."""

    account: AccountList | None
    """The account's avatars; None if the list call failed."""
    listed_at: datetime
    """When the list call started."""
    outage: str = ""
    """Why Argil cannot be used now; empty if it answers, also if only its list fails."""

    @property
    def complete_at(self) -> datetime | None:
        """When the list call started; None if the list proves no absence."""
        is_complete = self.account is not None and not self.account.incomplete_because
        return self.listed_at if is_complete else None


class OutageCheck:
    """Whether one tick may go on with requests: an outage can also begin in the middle of it."""

    def __init__(self, context: AppContext, tick: Tick, *, has_answered: bool) -> None:
        """Create a check that sends nothing yet.

        Args:
            context: The context of this process.
            tick: The tick that ends early in an outage.
            has_answered: Whether Argil has answered this tick already; otherwise `is_answering` asks.
        """
        self._context = context
        self._tick = tick
        self._must_ask = not has_answered
        self._is_answering = True
        self._is_doubted = False
        self._ask_again_at = -math.inf
        """Monotonic time: after an error without an outage, as when Argil fails at submissions only."""

    def doubt(self, error: AvatarsError) -> None:
        """Ask Argil before the next provisioning if this error may come from an outage."""
        if isinstance(error, ArgilUnavailable) and self._context.clock.monotonic() >= self._ask_again_at:
            self._must_ask = self._is_doubted = True

    async def is_answering(self) -> bool:
        """Return whether Argil answers; once it does not, the tick sends nothing more.

        Raises:
            ArgilUnauthorized: Argil rejects the API key, and this is the first request. Within a tick, the
                result is False instead: an error would interrupt submissions in progress.
            ArgilPathNotFound: ARGIL_API_URL is not the address of the API; the same.
            DatabaseError: The ledger cannot be written.
        """
        if self._is_answering and self._must_ask:
            try:
                self._is_answering = await is_argil_answering(self._context, self._tick)
            except ArgilUnavailable as error:
                if not self._is_doubted:
                    raise
                self._is_answering = False
                self._tick.interrupt(f"nothing more was done: {error.message}")
            if self._is_doubted:
                self._ask_again_at = self._context.clock.monotonic() + MAX_AGE_SECONDS
            self._must_ask = self._is_doubted = False
        return self._is_answering


async def read_account(context: AppContext, tick: Tick) -> AccountReading:
    """List the account; if that fails, poll one avatar to find out whether Argil answers at all.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        DatabaseError: The ledger cannot be read or written.
    """
    listed_at = context.clock.now()
    try:
        account = await context.argil.list_account()
    except PollFailed as error:
        is_limited = error.retry_after_seconds is not None  # a further request would only wait for the limit to end
        if is_limited or not await _answers_polls(context):
            await report_outage(context, tick, error.message)
            return AccountReading(None, listed_at, outage=error.message)
        await report_answer(context, tick)
        return AccountReading(None, listed_at)
    await context.observations.record(Observation.ARGIL_LISTED)
    await report_answer(context, tick)
    return AccountReading(account, listed_at)


async def is_argil_answering(context: AppContext, tick: Tick) -> bool:
    """Send a poll, and a list call if it fails; report an outage if both fail, or the end of one.

    Raises:
        ArgilUnauthorized: Argil rejects the API key.
        ArgilPathNotFound: ARGIL_API_URL is not the address of the API.
        DatabaseError: The ledger cannot be written.
    """
    try:
        await context.argil.check_access()
    except PollFailed as error:
        is_limited = error.retry_after_seconds is not None
        if is_limited or not await _answers_list(context):
            await report_outage(context, tick, error.message)
            return False
    await report_answer(context, tick)
    return True


async def report_outage(context: AppContext, tick: Tick, cause: str) -> None:
    """Log that Argil fails and emit `argil.degraded`, once per outage. Raises DatabaseError."""
    tick.interrupt(f"nothing more was done, because Argil does not answer: {cause}")
    if await context.observations.begin(Observation.ARGIL_DEGRADED):
        tick.has_news = True
        log_to_run(
            "Argil does not answer: %s. Scheduled runs ask once per run until it does", cause, level=logging.WARNING
        )
        emit_argil_event(DEGRADED_EVENT, {"reason": cause})


async def report_answer(context: AppContext, tick: Tick) -> None:
    """Log that Argil answers again and emit `argil.recovered`, if an outage was reported. Raises DatabaseError."""
    since = await context.observations.end(Observation.ARGIL_DEGRADED, recorded_as=Observation.ARGIL_RECOVERED)
    if since is None:
        return
    tick.has_news = True
    seconds = max((context.clock.now() - since).total_seconds(), 0.0)
    log_to_run("Argil answers again after %.0f seconds", seconds, level=logging.WARNING)
    emit_argil_event(RECOVERED_EVENT, {"since": since.isoformat(), "seconds": seconds})


async def _answers_list(context: AppContext) -> bool:
    try:
        await context.shared_list.fetch_newer(0.0, MAX_AGE_SECONDS)
    except PollFailed:
        return False
    return True


async def _answers_polls(context: AppContext) -> bool:
    """Return whether Argil answers a poll by id: that of a training if there is one.

    The training is random: one that Argil can never return must not look like an outage in each tick.
    """
    page = await context.ledger.list_unleased(Status.TRAINING, limit=POLL_CANDIDATES)
    avatar_ids = [item.avatar_id for item in page if item.avatar_id]
    try:
        if avatar_ids:
            await context.argil.get_avatar(random.choice(avatar_ids))  # noqa: S311  # not a security use
        else:
            await context.argil.check_access()
    except AvatarNotFound:
        return True
    except PollFailed:
        return False
    return True
