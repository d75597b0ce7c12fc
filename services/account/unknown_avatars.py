"""Notices avatars at Argil whose submissions the ledger does not know. Submissions stop until a person decides.

Every list call of this process is compared with the ledger. Before the first submission of a process the account is
listed once, unless another process did so since the service was started; a ledger without submissions needs that
list, because it may be a new one in the place of one that was deleted. docs/adr/0017-unknown-avatars.md has the
reasons.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import math
import os
import socket
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from models.argil.account_list import AccountList
from models.argil.unknown_avatars import MAX_NAMED, describe_unknown_avatars, unknown_avatars_error
from models.clock import Clock, SystemClock
from models.errors import ArgilUnreachable, DatabaseError, PollFailed
from services.account.empty_lists import EmptyListCheck
from services.run_log import log_to_run
from store.observations import Observation, ObservationRepository
from store.unknown_avatars import UnknownAvatarRepository

if TYPE_CHECKING:  # it builds the comparison
    from clients.argil import ArgilClient

SERVICE_STARTED_AT = SystemClock().now()
"""When this process started. A run of `avatars up` is a fork of a process that has imported this module."""
MAX_OBSERVATION_AGE = timedelta(minutes=10)
"""A list call of another process that is older is repeated. `reconcile-avatars` lists the account each minute."""
RETRY_SECONDS = 60.0
"""After a list call that failed, the next one before a submission is sent after this time."""
_WITHOUT_API = {301, 307, 308, 404, 405, 410}
"""With these statuses a submission to the path of the list creates nothing, and its error says what to correct."""
MAX_LOGGED = 200
"""Unknown avatars that are logged when they are noticed, one line each."""


class AccountComparison:
    """Compares the account lists that this process receives with the ledger."""

    def __init__(
        self,
        unknown_avatars: UnknownAvatarRepository,
        observations: ObservationRepository,
        clock: Clock,
        empty_lists: EmptyListCheck,
        *,
        since: datetime,
        ignored_by: str | None,
    ) -> None:
        """Create a comparison that has not seen a list.

        Args:
            unknown_avatars: Stores what is unknown.
            observations: Has the time of the last list call of `reconcile-avatars`.
            clock: The clock of both.
            empty_lists: Doubts lists without avatars.
            since: A list call of another process counts only after this time: a restored ledger has earlier ones.
            ignored_by: The person who decided to ignore all unknown avatars; None if no person did.
        """
        self._unknown_avatars = unknown_avatars
        self._observations = observations
        self._clock = clock
        self._empty_lists = empty_lists
        self._since = since
        self._ignored_by = ignored_by
        self._lock = asyncio.Lock()
        self._is_done = False
        self._failure: DatabaseError | None = None
        self._retry_at = -math.inf
        self._list_error: PollFailed | None = None
        """The failure of the latest list call, while no list was read."""

    async def observe(self, argil: ArgilClient, account: AccountList) -> None:
        """Compare a list with the ledger, and log what is unknown. A wrong empty list becomes an incomplete one.

        A failure of the database is logged and does not disturb the caller, which needs the list for another
        purpose. `require_known_past` reports it.
        """
        try:
            await self._empty_lists.check(argil, account)
            new = await self._unknown_avatars.compare(account)
            await self._ignore_undecided()
        except DatabaseError as error:
            self._failure = error
            if not account.names_an_avatar and not account.incomplete_because:
                account.incomplete_because = "the list is empty, and the ledger could not be read"
            log_to_run(
                "the account list was not compared with the ledger: %s", error.message, level=logging.WARNING
            )
            return
        # An empty list that may be wrong shows nothing about the past: before a submission, the next one is read.
        self._is_done, self._failure = account.names_an_avatar or not account.incomplete_because, None
        self._list_error = None
        for avatar in new[:MAX_LOGGED]:
            log_to_run(
                "avatar %s at Argil has the submission id %s, which this ledger does not know",
                avatar.avatar_id or "without a usable id",
                avatar.submission_id,
                level=logging.WARNING,
            )
        if len(new) > MAX_LOGGED:
            log_to_run("so have %d more avatars", len(new) - MAX_LOGGED, level=logging.WARNING)

    async def require_known_past(self, argil: ArgilClient) -> None:
        """Return if something may be submitted: no avatar at Argil is unknown, or a person ignores them.

        A list call that fails does not stop the submissions of a ledger that has some; it is repeated after
        RETRY_SECONDS.

        Raises:
            UnknownAvatars: There are unknown avatars about which no person has decided.
            ArgilUnreachable: The ledger has no submissions, as one that was deleted, and no list could be read.
            ArgilUnauthorized: Argil rejects the API key.
            DatabaseError: The ledger cannot be read, or written if something is unknown.
        """
        async with self._lock:
            if not self._is_done and self._clock.monotonic() >= self._retry_at:
                await self._list_once(argil)
            if self._list_error is not None:
                await self._require_submissions(self._list_error)
        await self._ignore_undecided()
        if undecided := await self._unknown_avatars.list_undecided(MAX_NAMED):
            raise unknown_avatars_error(undecided, await self._unknown_avatars.count_undecided())

    async def _list_once(self, argil: ArgilClient) -> None:
        if await self._was_listed():
            self._is_done = True
            return
        try:
            account = await argil.list_account()  # calls `observe`
        except PollFailed as error:
            self._retry_at = self._clock.monotonic() + RETRY_SECONDS
            self._list_error = error
            log_to_run(
                "the account could not be listed before a submission, so avatars that this ledger does not know "
                "would not be noticed: %s",
                error,
                level=logging.WARNING,
            )
        else:
            if not self._is_done and self._failure is None:
                self._retry_at = self._clock.monotonic() + RETRY_SECONDS
                log_to_run("before a submission: %s", account.incomplete_because, level=logging.WARNING)
        if self._failure is not None:
            raise self._failure

    async def _require_submissions(self, error: PollFailed) -> None:
        """Raise ArgilUnreachable if the ledger may be new, unless the submission would fail at the same address."""
        if self._ignored_by is not None or error.status in _WITHOUT_API:
            return
        if await self._unknown_avatars.has_submissions():
            return
        raise ArgilUnreachable(
            f"the account could not be listed: {error.message}; nothing was sent, because this ledger has no "
            "submissions and the account may have avatars of an earlier ledger",
            hint="`avatars doctor` checks ARGIL_API_URL, the network and SSL_CERT_FILE; then `avatars resume ID`; "
            "for a new Argil account, --ignore-unknown or AVATARS_IGNORE_UNKNOWN=true submits without the list",
            retry_after_seconds=error.retry_after_seconds,
        )

    async def _was_listed(self) -> bool:
        listed_at = (await self._observations.read_all()).get(Observation.ARGIL_LISTED)
        now = self._clock.now()
        return listed_at is not None and max(self._since, now - MAX_OBSERVATION_AGE) < listed_at <= now

    async def _ignore_undecided(self) -> None:
        if self._ignored_by is None or not await self._unknown_avatars.count_undecided():
            return
        count = await self._unknown_avatars.ignore_all(self._ignored_by)
        log_to_run(
            "%d avatars at Argil that this ledger does not know are ignored from now on: decided by %s",
            count,
            self._ignored_by,
            level=logging.WARNING,
        )


async def report_undecided(unknown_avatars: UnknownAvatarRepository) -> int:
    """Log the unknown avatars about which no person has decided, in one line; return their number.

    Raises DatabaseError.
    """
    undecided = await unknown_avatars.list_undecided(MAX_NAMED)
    if not undecided:
        return 0
    count = await unknown_avatars.count_undecided()
    log_to_run(
        "new submissions wait for a decision: %s",
        describe_unknown_avatars(undecided, count),
        level=logging.WARNING,
    )
    return count


def current_person() -> str:
    """Return the user and the machine that run this process, at most 256 characters."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without an entry, for example in a container
        user = f"user {os.getuid()}"
    return f"{user}@{socket.gethostname()}"[:256]
