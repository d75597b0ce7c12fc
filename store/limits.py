"""Reads the counters and pauses of the ledger, and stores what concerns no single provisioning."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from sqlalchemy import Connection

from models.clock import Clock
from models.limits import MAX_PAUSE, LimitState, Pause, PauseCause, SubmissionGuard, batch_counter, day_counter
from models.request import RequestKind
from models.spend_limits import SpendLimits
from store.counters import read_counts
from store.database import Database
from store.pauses import choose_probe, extend_rate_pause, read_all_pauses, read_pauses, return_probe


class LimitRepository:
    """Counters and pauses. Every method raises DatabaseError if the database fails."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def read(self, guard: SubmissionGuard, batch_id: str | None = None) -> LimitState:
        """Return the counters and the pauses of an API key; a rate pause that has passed is left out."""
        return await self._read(
            guard.limits, batch_id, lambda connection: read_pauses(connection, guard.api_key_sha256)
        )

    async def read_for_all_keys(self, limits: SpendLimits, batch_id: str | None = None) -> LimitState:
        """Return the counters and the pauses of all API keys, as `read` does."""
        return await self._read(limits, batch_id, read_all_pauses)

    async def _read(
        self, limits: SpendLimits, batch_id: str | None, read: Callable[[Connection], Sequence[Pause]]
    ) -> LimitState:
        now = self._clock.now()
        day, batch = day_counter(now), batch_counter(batch_id or "")

        def read_state(connection: Connection) -> LimitState:
            counts = read_counts(connection, [day, batch])
            pauses = tuple(pause for pause in read(connection) if pause.cause.is_probed or pause.stands(now))
            return LimitState(now, limits, counts[day], pauses, batch_id, counts[batch])

        return await self._database.read(read_state)

    async def reserve_probe(
        self, guard: SubmissionGuard, probe_id: str, kind: RequestKind, reserved_by: Collection[str] = ()
    ) -> None:
        """Reserve the probe of each pause that waits for one, so that no other provisioning is checked for it.

        Args:
            guard: The guard with the API key.
            probe_id: The provisioning that will submit, or the lease owner of one.
            kind: The kind of its request.
            reserved_by: The ids for which the probe may be reserved already.

        Raises:
            SubmissionPaused: A pause stands; no probe is reserved.
        """
        now = self._clock.now()

        def reserve(connection: Connection) -> None:
            pause = choose_probe(connection, guard.api_key_sha256, now, probe_id, kind, reserved_by)
            if pause is not None:
                raise pause.error(now)

        await self._database.write(reserve)

    async def return_probe(self, reserved_by: Collection[str]) -> None:
        """Let another submission be the probe that was reserved for one of these ids, as in `reserve_probe`."""
        now = self._clock.now()
        await self._database.write(lambda connection: return_probe(connection, reserved_by, now))

    async def pause_requests(self, api_key_sha256: str, seconds: float) -> None:
        """Store that all processes wait before each request, at most for MAX_PAUSE."""
        now = self._clock.now()
        until = now + min(timedelta(seconds=seconds), MAX_PAUSE)
        is_sqlite = self._database.is_sqlite
        await self._database.write(
            lambda connection: extend_rate_pause(connection, api_key_sha256, now, until, is_sqlite=is_sqlite)
        )

    async def requests_paused_for(self, api_key_sha256: str) -> float:
        """Return the seconds until requests may be sent again, 0 if they may now."""
        now = self._clock.now()
        pauses = await self._database.read(lambda connection: read_pauses(connection, api_key_sha256))
        ends = [pause.until for pause in pauses if pause.cause is PauseCause.RATE and pause.stands(now)]
        return max(((end - now).total_seconds() for end in ends), default=0.0)
