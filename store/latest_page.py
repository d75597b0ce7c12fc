"""One page of provisionings, newest first, as SQL that SQLAlchemy and the sqlite3 module both execute."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from models.outcomes import CODES_THAT_END_ALONE
from models.provisioning import Status

_IN_STATUSES = "coalesce(status, '') IN"
"""A condition that no index serves: a query planner without statistics may prefer the index on the status."""

_WITHOUT_RELEASED = (
    "(provisionings.status <> 'REFUSED' OR coalesce((SELECT max(CASE WHEN released_at IS NULL THEN 1 ELSE 0 END) "
    "FROM quarantine WHERE provisioning_id = provisionings.id), 1) = 1)"
)
"""The rule of `QuarantineRepository.is_released`, negated.

With EXISTS in the OR, PostgreSQL would read the whole table.
"""
_IS_BLOCKED = (
    "(provisionings.status <> 'ACCEPTED' OR (provisionings.lease_owner IS NULL "
    "AND CAST(provisionings.reasons AS TEXT) <> '[]'"
    + "".join(f" AND CAST(provisionings.reasons AS TEXT) NOT LIKE '%{code}%'" for code in CODES_THAT_END_ALONE)
    + "))"
)


@dataclass(frozen=True)
class LatestPage:
    """Which provisionings a page contains; each page reads only its own rows from an index.

    Several filters are combined. Then one index finds the rows that match one of them, and the others skip rows.

    Attributes:
        limit: Rows per page.
        statuses: Statuses to include; empty: all.
        since: Inclusive lower bound of `created_at`.
        until: Exclusive upper bound of `created_at`.
        after: `created_at` and id of the last provisioning of the previous page (keyset pagination).
        batch_id: The batch that took it last.
        name: The name of its request, in normal form.
        reference: Its reference, in normal form.
        avatar_id: Its avatar.
        extras: Pairs that its request has, each of them.
        waits_for_person: Only those that wait for a person, by the rule of `models.outcomes.waits_for_person`.
        without_erased: Leave out those of erased persons.

    """

    limit: int
    statuses: Collection[Status] = ()
    since: datetime | None = None
    until: datetime | None = None
    after: tuple[datetime, str] | None = None
    batch_id: str | None = None
    name: str | None = None
    reference: str | None = None
    avatar_id: str | None = None
    extras: Mapping[str, str] = field(default_factory=dict)
    waits_for_person: bool = False
    without_erased: bool = False

    def parameters(self) -> dict[str, str | int | datetime]:
        """Return the values of the named parameters in `sql`."""
        after_created_at, after_id = self.after or (None, None)
        values = {
            "since": self.since,
            "until": self.until,
            "after_created_at": after_created_at,
            "after_id": after_id,
            "limit": self.limit,
            **self._columns(),
        }
        for number, (key, value) in enumerate(self.extras.items()):
            values |= {f"key_{number}": key, f"value_{number}": value}
        if self._is_by_status() or self.statuses:
            values |= {f"status_{number}": status.value for number, status in enumerate(self._statuses())}
        return {name: value for name, value in values.items() if value is not None}

    def sql(self) -> str:
        """Return the statement, with the columns of `provisionings`."""
        if self._is_by_status():
            keys = self._keys_by_status()
        elif self._columns():
            keys = self._keys_of_one()
        else:
            keys = self._keys_by_extra()
        newest_first = "ORDER BY created_at DESC, id DESC"
        return (
            f"SELECT * FROM provisionings WHERE id IN (SELECT id FROM ({keys}) AS merged "  # noqa: S608  # parameters
            f"{newest_first} LIMIT :limit) {newest_first}"
        )

    def _is_by_status(self) -> bool:
        """Return whether an index that begins with (batch or name and) status finds the rows."""
        is_of_one = self.reference is not None or self.avatar_id is not None
        return not is_of_one and (bool(self._columns()) or not self.extras)

    def _keys_by_status(self) -> str:
        """Merge the newest keys of each status, so one index serves any combination of statuses, also rare ones."""
        conditions = [*self._column_conditions(), *self._extra_conditions(), *self._bounds()]
        conditions += self._person_conditions()
        return " UNION ALL ".join(
            f"SELECT id, created_at FROM (SELECT id, created_at FROM provisionings "  # noqa: S608  # parameters only
            f"WHERE {' AND '.join([f'status = :status_{number}', *conditions])} "
            f"ORDER BY created_at DESC, id DESC LIMIT :limit) AS keys"
            for number in range(len(self._statuses()))
        )

    def _keys_of_one(self) -> str:
        """Return the keys of the few provisionings with a reference or an avatar."""
        conditions = [
            *self._column_conditions(),
            *self._extra_conditions(),
            *self._status_conditions(),
            *self._person_conditions(),
            *self._bounds(),
        ]
        return f"SELECT id, created_at FROM provisionings WHERE {' AND '.join(conditions)}"  # noqa: S608  # as above

    def _keys_by_extra(self) -> str:
        """Return the newest keys with the first pair; CROSS JOIN keeps SQLite from reading the tables reversed."""
        conditions = ["extras.key = :key_0", "extras.value = :value_0"]
        conditions += self._bounds("extras.created_at", "extras.provisioning_id")
        join = ""
        if more := [*self._status_conditions(), *self._person_conditions(), *self._extra_conditions(start=1)]:
            join = "CROSS JOIN provisionings "
            conditions += ["provisionings.id = extras.provisioning_id", *more]
        return (
            "SELECT provisioning_id AS id, created_at FROM ("  # noqa: S608  # as above
            f"SELECT extras.provisioning_id, extras.created_at FROM extras {join}WHERE {' AND '.join(conditions)} "
            "ORDER BY extras.created_at DESC, extras.provisioning_id DESC LIMIT :limit) AS keys"
        )

    def _columns(self) -> dict[str, str]:
        values = {
            "batch_id": self.batch_id,
            "name": self.name,
            "reference": self.reference,
            "avatar_id": self.avatar_id,
        }
        return {column: value for column, value in values.items() if value is not None}

    def _column_conditions(self) -> list[str]:
        return [f"{column} = :{column}" for column in self._columns()]

    def _extra_conditions(self, start: int = 0) -> list[str]:
        return [
            "EXISTS (SELECT 1 FROM extras AS pair WHERE pair.provisioning_id = provisionings.id "  # noqa: S608  # as above
            f"AND pair.key = :key_{number} AND pair.value = :value_{number})"
            for number in range(start, len(self.extras))
        ]

    def _status_conditions(self) -> list[str]:
        marks = ", ".join(f":status_{number}" for number in range(len(self._statuses())))
        return [f"{_IN_STATUSES} ({marks})"] if self.statuses else []

    def _person_conditions(self) -> list[str]:
        conditions = [_WITHOUT_RELEASED, _IS_BLOCKED] if self.waits_for_person else []
        return [*conditions, "provisionings.erased_at IS NULL"] if self.without_erased else conditions

    def _bounds(self, created_at: str = "created_at", key: str = "id") -> list[str]:
        bounds = (
            (self.since, f"{created_at} >= :since"),
            (self.until, f"{created_at} < :until"),
            (self.after, f"({created_at}, {key}) < (:after_created_at, :after_id)"),
        )
        return [bound for value, bound in bounds if value is not None]

    def _statuses(self) -> list[Status]:
        return list(dict.fromkeys(self.statuses or Status))  # a repeated one would fill the page twice
