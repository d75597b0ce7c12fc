"""Holds what the ledger promises against what the account at Argil shows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from models.provisioning import TRANSITIONS, Event, Provisioning, Status, Submission, SubmissionState
from simulator.world import World as Account
from store.ledger_reader import LedgerReader

MANY = 1000

WITH_AVATAR = {Status.READY, Status.TRAINING_FAILED, Status.REFUSED, Status.TIMED_OUT, Status.VANISHED}


@dataclass
class Verdict:
    """What was broken, in words: empty lists where every promise was kept."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.lost or self.duplicated or self.other)


async def is_settled(ledger: LedgerReader) -> bool:
    """Whether every provisioning has its end, or waits for its operator with a reason."""
    return all(_is_settled(one) for one in await ledger.newest(None, MANY))


async def audit(ledger: LedgerReader, account: Account) -> Verdict:
    """Judge a ledger in which nothing is in flight any more, and every avatar at the simulator.

    One that Argil has dropped before anybody heard of it is none: neither its list nor a GET tells of it.
    """
    verdict = Verdict()
    found = await ledger.newest(None, MANY)
    told = {avatar["id"] for avatar in account.listed()} | {one.avatar_id for one in found}
    made: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for avatar in account.avatars:
        if avatar["id"] in told:
            made[avatar["name"]].append(avatar)
    submissions = await ledger.submissions_of([one.id for one in found])
    for one in found:
        _judge(verdict, one, submissions[one.id], made.pop(one.name, []))
        _read_events(verdict, one, await ledger.events(one.id))
    for name, avatars in made.items():
        verdict.lost.append(f"{name}: {len(avatars)} avatars that the ledger knows nothing of")
    return verdict


def _judge(
    verdict: Verdict, one: Provisioning, submissions: list[Submission], avatars: list[dict[str, Any]]
) -> None:
    name = f"{one.name} ({one.status})"
    ours = {submission.id for submission in submissions}
    verdict.lost += [
        f"{name}: avatar {avatar['id']} carries a key that the ledger does not know"
        for avatar in avatars
        if avatar["extras"].get("submission_id") not in ours
    ]
    if not _is_settled(one):
        verdict.lost.append(f"{name}: nobody brings it to an end; reasons {one.reasons}")
    allowed = one.retrains + (one.status in WITH_AVATAR or one.status is Status.CANCELLED)
    if len(avatars) > allowed:
        verdict.duplicated.append(f"{name}: {len(avatars)} avatars at Argil, {allowed} wanted")
    if one.status in WITH_AVATAR and one.avatar_id not in {avatar["id"] for avatar in avatars}:
        verdict.lost.append(f"{name}: avatar {one.avatar_id} is not at Argil")
    if one.status is Status.CANCELLED and len(avatars) > one.retrains and one.avatar_id is None:
        verdict.lost.append(f"{name}: its avatar is at Argil, and the ledger does not tell")
    untold = [each.ordinal for each in submissions if each.state is SubmissionState.PENDING]
    if untold and one.status is not Status.CANCELLED:
        verdict.other.append(f"{name}: submissions {untold} are pending still")


def _is_settled(one: Provisioning) -> bool:
    return one.status.is_end or (one.status is Status.ACCEPTED and bool(one.reasons))


def _read_events(verdict: Verdict, one: Provisioning, events: list[Event]) -> None:
    at: Status | None = None
    for event in events:
        if event.from_status != at:
            verdict.other.append(f"{one.name}: an event leaves {event.from_status} where the last one led to {at}")
        at = event.to_status
        if event.from_status is None:
            continue
        if at is not event.from_status and at not in TRANSITIONS[event.from_status]:
            verdict.other.append(f"{one.name}: no way leads from {event.from_status} to {at}")
    if at is not one.status:
        verdict.other.append(f"{one.name}: the events lead to {at}, and it is {one.status}")
