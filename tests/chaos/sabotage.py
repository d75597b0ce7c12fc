"""Takes out the guards of "never twice, never lost", one each, for as long as a test patches them."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from models.errors import LeaseHeld
from models.provisioning import Driver, Provisioning, Submission, SubmissionState
from models.tables import ProvisioningRow
from store.leases import Leases
from store.provisionings import Ledger


def without_the_row(patch: pytest.MonkeyPatch) -> None:
    """Record the submission only when its answer is there: a crash before that leaves nothing that tells of it."""
    begin, settle = Ledger.begin_submission, Ledger.settle_submission
    unrecorded: set[str] = set()

    async def not_now(
        self: Ledger, seen: Provisioning, _driver: Driver, _why: str
    ) -> tuple[Provisioning, Submission]:
        now = self._clock.now()
        submission = Submission(
            id=str(uuid.uuid4()),
            ordinal=seen.submissions + 1,
            state=SubmissionState.PENDING,
            avatar_id=None,
            http_status=None,
            answer=None,
            created_at=now,
            state_at=now,
        )
        unrecorded.add(submission.id)
        return seen, submission

    async def both(
        self: Ledger, seen: Provisioning, driver: Driver, why: str, submission: Submission, *how: Any, **rest: Any
    ) -> Provisioning:
        if submission.id in unrecorded:
            with pytest.MonkeyPatch.context() as same_id:
                same_id.setattr("uuid.uuid4", lambda: submission.id)
                seen, submission = await begin(self, seen, driver, "a create was recorded, with its answer")
            unrecorded.remove(submission.id)
        return await settle(self, seen, driver, why, submission, *how, **rest)

    patch.setattr(Ledger, "begin_submission", not_now)
    patch.setattr(Ledger, "settle_submission", both)


def without_the_lookup(patch: pytest.MonkeyPatch) -> None:
    """Take an unknown create for lost, and submit anew, without a look at Argil's list."""

    async def none_found(*_: object) -> list[object]:
        return []

    patch.setattr("tasks.find_submission._look", none_found)


def without_the_version(patch: pytest.MonkeyPatch) -> None:
    """Write whatever another driver has written since."""
    record = Ledger._record

    async def blindly(
        self: Ledger, connection: AsyncConnection, seen: Provisioning, *what: Any, **rest: Any
    ) -> Provisioning:
        find = select(ProvisioningRow.version).where(ProvisioningRow.id == seen.id)
        version = (await connection.execute(find)).scalar_one()
        return await record(self, connection, dataclasses.replace(seen, version=version), *what, **rest)

    patch.setattr(Ledger, "_record", blindly)


def without_the_lease_check(patch: pytest.MonkeyPatch) -> None:
    """Send whoever holds the lease by now."""
    renew = Leases.renew

    async def trustingly(self: Leases, *what: Any, **rest: Any) -> None:
        with contextlib.suppress(LeaseHeld):
            await renew(self, *what, **rest)

    patch.setattr(Leases, "renew", trustingly)
