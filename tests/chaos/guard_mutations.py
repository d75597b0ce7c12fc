"""Mutations that each disable one guard against lost or duplicated avatars, through monkeypatching."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from typing import Any

import pytest
from sqlalchemy import Connection, select

from models.errors import LeaseLost
from models.provisioning import LeaseOwner, Provisioning, Submission, SubmissionState
from models.tables import provisioning_table
from store.leases import LeaseRepository
from store.ledger import Ledger


def disable_submission_record(patch: pytest.MonkeyPatch) -> None:
    """Record the submission only after the response: an earlier crash leaves no trace of it in the ledger."""
    begin, resolve = Ledger.begin_submission, Ledger.resolve_submission
    unrecorded: set[str] = set()

    async def begin_unrecorded(
        self: Ledger, provisioning: Provisioning, _owner: LeaseOwner, _message: str, _guard: object
    ) -> tuple[Provisioning, Submission]:
        now = self._clock.now()
        submission = Submission(
            id=str(uuid.uuid4()),
            ordinal=provisioning.submission_count + 1,
            state=SubmissionState.PENDING,
            request_fingerprint=provisioning.request_fingerprint,
            avatar_id=None,
            http_status=None,
            response=None,
            created_at=now,
            state_changed_at=now,
        )
        unrecorded.add(submission.id)
        return provisioning, submission

    async def record_and_resolve(
        self: Ledger,
        provisioning: Provisioning,
        owner: LeaseOwner,
        message: str,
        submission: Submission,
        *args: Any,
        **changes: Any,
    ) -> Provisioning:
        if submission.id in unrecorded:
            with pytest.MonkeyPatch.context() as same_id:
                same_id.setattr("store.submissions.new_submission_id", lambda *_: submission.id)
                provisioning, submission = await begin(
                    self, provisioning, owner, "the submission was recorded with its response"
                )
            unrecorded.remove(submission.id)
        return await resolve(self, provisioning, owner, message, submission, *args, **changes)

    patch.setattr(Ledger, "begin_submission", begin_unrecorded)
    patch.setattr(Ledger, "resolve_submission", record_and_resolve)


def disable_lookup(patch: pytest.MonkeyPatch) -> None:
    """Presume an unknown submission lost and submit again, without finding its avatar in Argil's list."""

    async def find_nothing(*_: object) -> list[object]:
        return []

    async def find_none(*_: object, **__: object) -> None:
        return None

    patch.setattr("tasks.resolve_submission._poll_for_avatar", find_nothing)
    patch.setattr("tasks.adopt_late_avatar.find_earlier_avatar", find_none)  # also before the next submission


def disable_version_check(patch: pytest.MonkeyPatch) -> None:
    """Write even if another lease owner has written since, and disable the lookup, which is a second guard."""
    disable_lookup(patch)
    record = Ledger._transition

    def transition_unchecked(
        self: Ledger, connection: Connection, provisioning: Provisioning, *args: Any, **changes: Any
    ) -> Provisioning:
        find = select(provisioning_table.c.version).where(provisioning_table.c.id == provisioning.id)
        version = connection.execute(find).scalar_one()
        return record(self, connection, dataclasses.replace(provisioning, version=version), *args, **changes)

    patch.setattr(Ledger, "_transition", transition_unchecked)


def disable_caller_record(patch: pytest.MonkeyPatch) -> None:
    """Re-open a provisioning each time a run starts, also if the same run has re-opened it before."""
    patch.setattr(Ledger, "_record_call", lambda *_: True)


def disable_lease_check(patch: pytest.MonkeyPatch) -> None:
    """Send the request even if another owner holds the lease."""
    renew = LeaseRepository.renew

    async def renew_unchecked(self: LeaseRepository, *args: Any, **options: Any) -> None:
        with contextlib.suppress(LeaseLost):
            await renew(self, *args, **options)

    patch.setattr(LeaseRepository, "renew", renew_unchecked)
