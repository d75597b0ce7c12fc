"""Compares the account at Argil with the ledger: what came late, and what came twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models.avatar import Avatar
from models.errors import LedgerConflict
from models.provisioning import Driver, Provisioning, Status, Submission, SubmissionState
from tasks.narrate import narrate
from tasks.report_duplicate import report_duplicate
from tasks.runtime import Runtime

PAGE = 500


async def compare_account(active: Runtime, listed: Iterable[Avatar], driver: Driver) -> None:
    """Record what Argil has made of our submissions that the ledger does not know yet. Raises DatabaseError.

    That is: an avatar of a provisioning that was cancelled before Argil's answer came, what Argil says of a
    cancelled one since, and duplicates. What is SUBMITTING has a driver that looks for itself.
    """
    ours: dict[str, list[Avatar]] = {}
    for avatar in listed:
        if avatar.submission_id is not None:
            ours.setdefault(avatar.submission_id, []).append(avatar)
    keys = list(ours)
    for start in range(0, len(keys), PAGE):
        found = await active.ledger.of_submissions(keys[start : start + PAGE])
        submissions = await active.ledger.submissions_of([one.id for one in found])
        for provisioning in found:
            if provisioning.status is not Status.SUBMITTING:
                await _compare(active, provisioning, submissions[provisioning.id], ours, driver)


async def _compare(
    active: Runtime,
    provisioning: Provisioning,
    submissions: Sequence[Submission],
    ours: dict[str, list[Avatar]],
    driver: Driver,
) -> None:
    known = {submission.avatar_id for submission in submissions}
    seen = provisioning
    # Of a person who was forgotten only duplicates are told: they are still to be deleted at Argil.
    follows = seen.status is Status.CANCELLED and seen.forgotten_at is None
    try:
        for submission in submissions:
            for avatar in ours.get(submission.id, ()):
                if avatar.id not in known and follows and seen.avatar_id is None:
                    seen = await _note_late(active, seen, submission, avatar, driver)
                elif avatar.id not in known:
                    await report_duplicate(active, seen, driver, avatar)
                elif follows and avatar.status != seen.raw_status:
                    seen = await active.ledger.record(
                        seen, driver, f"Argil says {avatar.status}", raw_status=avatar.status, avatar=avatar.raw
                    )
    except LedgerConflict:
        narrate("provisioning %s moves while it is compared: left to the next tick", provisioning.id)


async def _note_late(
    active: Runtime, seen: Provisioning, submission: Submission, avatar: Avatar, driver: Driver
) -> Provisioning:
    return await active.ledger.settle_submission(
        seen,
        driver,
        f"Argil has made avatar {avatar.id} of the create, and goes on training it",
        submission,
        SubmissionState.TAKEN,
        avatar_id=avatar.id,
        raw_status=avatar.status,
        training_since=submission.created_at,
        avatar=avatar.raw,
    )
