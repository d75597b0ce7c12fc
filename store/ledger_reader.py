"""The ledger's queries: provisionings by key, status and age, their events and submissions."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Select, TextualSelect, func, or_, select

from models.argil.avatar import replace_unstorable_characters
from models.errors import UnknownProvisioning
from models.provisioning import (
    DuplicateAvatar,
    Provisioning,
    ProvisioningEvent,
    Status,
    Submission,
    SubmissionState,
    parse_provisioning_id,
)
from models.request import AvatarRequest
from models.tables import (
    IMAGE_CLAUSE,
    IN_FLIGHT_CLAUSE,
    duplicate_table,
    event_table,
    provisioning_table,
    submission_table,
)
from models.text.normalization import normalize_reference
from store import mappers, pagination
from store.latest_page import LatestPage
from store.lease_reader import LeaseReader
from store.membership import is_one_of, iter_pages

EQUAL_STATUSES = [status for status in Status if status not in {Status.REJECTED, Status.REFUSED}]
"""Of a provisioning that makes an equal one unnecessary: it has an avatar, can get one, or can be retrained."""


class EqualProvisioning(NamedTuple):
    """A provisioning that has the same request as another one."""

    id: str
    reference: str
    status: Status


def _makes_unnecessary() -> list[ColumnElement[bool]]:
    """Return the conditions of a provisioning beside which an equal one is a mistake; see `find_equal`."""
    columns = provisioning_table.c
    was_sent = or_(columns.status != Status.CANCELLED, columns.submission_count > 0)
    return [columns.status.in_(EQUAL_STATUSES), was_sent]


class LedgerReader(LeaseReader):
    """Reads provisionings. Every method raises DatabaseError if the database fails."""

    async def get(self, key: str) -> Provisioning:
        """Return the provisioning with this id or reference, in any form. Raises UnknownProvisioning."""
        if key != replace_unstorable_characters(key):  # a database raises an error of its own for such a parameter
            raise UnknownProvisioning(key)
        query = select(provisioning_table)
        keys = [(provisioning_table.c.id, key), (provisioning_table.c.reference, key)]
        with contextlib.suppress(ValueError):  # no reference has such characters
            keys.append((provisioning_table.c.reference, normalize_reference(key)))
        if (written_id := parse_provisioning_id(key)) is not None:
            keys.append((provisioning_table.c.id, written_id))

        def find(connection: Connection) -> Provisioning | None:
            for column, value in dict.fromkeys(keys):
                if row := connection.execute(query.where(column == value)).one_or_none():
                    return mappers.to_provisioning(row)
            return None

        if (provisioning := await self.database.read(find)) is None:
            raise UnknownProvisioning(key)
        return provisioning

    async def find_recorded(self, request: AvatarRequest) -> Provisioning | None:
        """Return the provisioning of the same request with the same reference, None if it is not on record."""
        if request.reference is None:
            return None
        try:
            provisioning = await self.get(request.reference)
        except UnknownProvisioning:
            return None
        return provisioning if provisioning.request_fingerprint in request.fingerprints else None

    async def find_equal(self, request: AvatarRequest, *, except_id: str = "") -> Provisioning | None:
        """Return the newest provisioning with the same name, recordings and extras, with any reference.

        Args:
            request: The request.
            except_id: The id of a provisioning that does not count.

        Returns:
            None if the ledger has none. One that is REJECTED or REFUSED is left out, and one that was CANCELLED
            before a submission: a person sends its request again on purpose. An erased one has no name to find.
        """
        query = (
            select(provisioning_table)
            .where(provisioning_table.c.name == request.name, *_makes_unnecessary())
            .where(provisioning_table.c.request_fingerprint.in_(request.fingerprints))
            .where(provisioning_table.c.id != except_id)
            .order_by(provisioning_table.c.created_at.desc(), provisioning_table.c.id.desc())
            .limit(1)
        )
        return next(iter(await self._fetch_provisionings(query)), None)

    async def find_equal_by_names(self, names: Sequence[str]) -> dict[str, EqualProvisioning]:
        """Return what `find_equal` finds for the requests with these names, by fingerprint."""
        columns = provisioning_table.c
        query = (
            select(columns.request_fingerprint, columns.id, columns.reference, columns.status)
            .where(*_makes_unnecessary())
            .order_by(columns.created_at, columns.id)
        )

        def find(connection: Connection) -> dict[str, EqualProvisioning]:
            found: dict[str, EqualProvisioning] = {}
            for page in iter_pages(names):
                of_page = query.where(is_one_of(connection, columns.name, page))
                for fingerprint, key, reference, status in connection.execute(of_page):
                    found[fingerprint] = EqualProvisioning(key, reference, Status(status))
            return found

        return await self.database.read(find)

    async def list_latest(self, status: Status | None, limit: int) -> list[Provisioning]:
        """Return at most `limit` provisionings with the given status, or with any, newest first."""
        return await self.list_page(LatestPage(limit, [] if status is None else [status]))

    async def list_page(self, page: LatestPage) -> list[Provisioning]:
        """Return one page of provisionings, newest first."""
        return await self._fetch_provisionings(pagination.latest_page_query(page))

    async def count_by_status(self) -> dict[Status, int]:
        """Return the number of provisionings per status, omitting statuses with no provisioning."""
        query = select(provisioning_table.c.status, func.count()).group_by(provisioning_table.c.status)
        counted = await self.database.read(
            lambda connection: {Status(status): count for status, count in connection.execute(query)}
        )
        return {status: counted[status] for status in Status if status in counted}

    async def count_image_creates(self) -> int:
        """Return how many submissions with images Argil accepted. Each one is charged, a retrain included."""
        # Without statistics, SQLite would begin a join with all submissions.
        created = (
            select(func.count())
            .where(submission_table.c.provisioning_id == provisioning_table.c.id)
            .where(submission_table.c.state == SubmissionState.CREATED)
            .scalar_subquery()
        )
        query = select(func.coalesce(func.sum(created), 0)).select_from(provisioning_table).where(IMAGE_CLAUSE)
        return int(await self.database.read(lambda connection: connection.execute(query).scalar_one()))

    async def count_absences(self) -> tuple[int, int]:
        """Return how many provisionings are in TRAINING, and for how many of them Argil answers 404."""
        query = select(func.count(), func.count(provisioning_table.c.not_found_since)).where(
            provisioning_table.c.status == Status.TRAINING
        )
        in_training, not_found = await self.database.read(lambda connection: connection.execute(query).one())
        return in_training, not_found

    async def list_events(self, provisioning_id: str) -> list[ProvisioningEvent]:
        """Return all events of a provisioning that are not archived, oldest first."""
        query = (
            select(event_table).where(event_table.c.provisioning_id == provisioning_id).order_by(event_table.c.id)
        )
        return await self.database.read(
            lambda connection: [mappers.to_event(row) for row in connection.execute(query)]
        )

    async def list_submissions(self, provisioning_id: str) -> list[Submission]:
        """Return all submissions of a provisioning, oldest first."""
        return (await self.list_submissions_by_provisioning([provisioning_id]))[provisioning_id]

    async def list_submissions_by_provisioning(
        self, provisioning_ids: Sequence[str]
    ) -> dict[str, list[Submission]]:
        """Return all submissions of each provisioning, oldest first, by provisioning id."""
        query = (
            select(submission_table)
            .where(submission_table.c.provisioning_id.in_(provisioning_ids))
            .order_by(submission_table.c.ordinal)
        )

        def find(connection: Connection) -> dict[str, list[Submission]]:
            submissions: dict[str, list[Submission]] = {key: [] for key in provisioning_ids}
            for row in connection.execute(query):
                submissions[row.provisioning_id].append(mappers.to_submission(row))
            return submissions

        return await self.database.read(find)

    async def list_duplicates(self, provisioning_id: str) -> list[DuplicateAvatar]:
        """Return the duplicate avatars of a provisioning, oldest first."""
        query = (
            select(duplicate_table)
            .where(duplicate_table.c.provisioning_id == provisioning_id)
            .order_by(duplicate_table.c.detected_at)
        )
        return await self.database.read(
            lambda connection: [mappers.to_duplicate(row) for row in connection.execute(query)]
        )

    async def find_by_submission_ids(self, submission_ids: Sequence[str]) -> list[Provisioning]:
        """Return the provisionings of the given submissions."""
        provisioning_ids = select(submission_table.c.provisioning_id).where(
            submission_table.c.id.in_(submission_ids)
        )
        return await self._fetch_provisionings(
            select(provisioning_table).where(provisioning_table.c.id.in_(provisioning_ids))
        )

    async def find_recorded_avatar_ids(self, submission_ids: Sequence[str]) -> dict[str, str]:
        """Return the avatar id of each submission whose avatar is that of its provisioning, by submission id.

        Cancelled provisionings are left out: the status of their avatars is recorded, too.
        """
        columns = submission_table.c.id, submission_table.c.provisioning_id, submission_table.c.avatar_id

        def find(connection: Connection) -> dict[str, str]:
            query = select(*columns).where(is_one_of(connection, submission_table.c.id, submission_ids))
            submissions = connection.execute(query).all()
            if not submissions:
                return {}
            # Not a join: PostgreSQL may then scan one of the tables, once per page of ids.
            current = select(provisioning_table.c.id, provisioning_table.c.avatar_id).where(
                is_one_of(connection, provisioning_table.c.id, {row.provisioning_id for row in submissions}),
                provisioning_table.c.status != Status.CANCELLED,
                provisioning_table.c.avatar_id.is_not(None),
            )
            avatar_ids = {row.id: row.avatar_id for row in connection.execute(current)}
            return {
                row.id: row.avatar_id
                for row in submissions
                if row.provisioning_id in avatar_ids and row.avatar_id == avatar_ids[row.provisioning_id]
            }

        return await self.database.read(find)

    async def find_fingerprints(self, references: Sequence[str]) -> dict[str, str]:
        """Return the fingerprint of the request of each reference that the ledger has."""
        return await self._find_by_reference(references, provisioning_table.c.request_fingerprint)

    async def find_statuses(self, references: Sequence[str]) -> dict[str, Status]:
        """Return the status of the provisioning of each reference that the ledger has."""
        found = await self._find_by_reference(references, provisioning_table.c.status)
        return {reference: Status(status) for reference, status in found.items()}

    async def _find_by_reference(self, references: Sequence[str], column: Column[str]) -> dict[str, str]:
        query = select(provisioning_table.c.reference, column)

        def find(connection: Connection) -> dict[str, str]:
            found: dict[str, str] = {}
            for page in iter_pages(references):
                of_page = query.where(is_one_of(connection, provisioning_table.c.reference, page))
                found.update((reference, value) for reference, value in connection.execute(of_page))
            return found

        return await self.database.read(find)

    async def find_open_by_flow_run_ids(self, flow_run_ids: Sequence[str]) -> list[Provisioning]:
        """Return the provisionings in flight whose current or last lease owner is one of these flow runs."""
        return await self._fetch_provisionings(
            select(provisioning_table).where(provisioning_table.c.flow_run_id.in_(flow_run_ids), IN_FLIGHT_CLAUSE)
        )

    async def _fetch_provisionings(self, query: Select[Any] | TextualSelect) -> list[Provisioning]:
        return await self.database.read(
            lambda connection: [mappers.to_provisioning(row) for row in connection.execute(query)]
        )
