"""One page of provisionings, newest first, as SQL that SQLAlchemy and the sqlite3 module both execute."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from models.provisioning import Status


@dataclass(frozen=True)
class LatestPage:
    """Which provisionings a page contains; each page reads only its own rows from an index.

    Attributes:
        limit: Rows per page.
        statuses: Statuses to include; empty: all.
        since: Inclusive lower bound of `created_at`.
        until: Exclusive upper bound of `created_at`.
        after: `created_at` and id of the last provisioning of the previous page (keyset pagination).

    """

    limit: int
    statuses: Collection[Status] = ()
    since: datetime | None = None
    until: datetime | None = None
    after: tuple[datetime, str] | None = None

    def parameters(self) -> dict[str, str | int | datetime]:
        """Return the values of the named parameters in `sql`."""
        after_created_at, after_id = self.after or (None, None)
        values = {
            "since": self.since,
            "until": self.until,
            "after_created_at": after_created_at,
            "after_id": after_id,
            "limit": self.limit,
            **{f"status_{number}": status.value for number, status in enumerate(self._statuses())},
        }
        return {name: value for name, value in values.items() if value is not None}

    def sql(self) -> str:
        """Return the statement, with the columns of `provisionings`.

        It merges the newest keys of each status, so one index on (status, created_at, id) serves any combination of
        statuses, including rare ones.
        """
        bounds = [
            bound
            for value, bound in (
                (self.since, "created_at >= :since"),
                (self.until, "created_at < :until"),
                (self.after, "(created_at, id) < (:after_created_at, :after_id)"),
            )
            if value is not None
        ]
        newest_first = "ORDER BY created_at DESC, id DESC"
        keys_by_status = " UNION ALL ".join(
            f"SELECT id, created_at FROM (SELECT id, created_at FROM provisionings "  # noqa: S608  # parameters only
            f"WHERE {' AND '.join([f'status = :status_{number}', *bounds])} {newest_first} LIMIT :limit) AS keys"
            for number in range(len(self._statuses()))
        )
        return (
            f"SELECT * FROM provisionings WHERE id IN (SELECT id FROM ({keys_by_status}) AS merged "  # noqa: S608
            f"{newest_first} LIMIT :limit) {newest_first}"
        )

    def _statuses(self) -> list[Status]:
        return list(dict.fromkeys(self.statuses or Status))  # a repeated one would fill the page twice
