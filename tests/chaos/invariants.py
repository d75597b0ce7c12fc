"""Checks the ledger's guarantees against the account at the simulated Argil."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from models.argil.voice_clone import VoiceClone
from models.limits import batch_counter, day_counter
from models.media.rules import MediaRole
from models.provisioning import TRANSITIONS, Provisioning, ProvisioningEvent, Status, Submission, SubmissionState
from models.reopening import RETRAINED
from models.tables import counter_table, submission_table
from simulator.account import SimulatedAccount as Account
from store.ledger_reader import LedgerReader
from store.voice_clones import VoiceCloneWriter

MAX_PROVISIONINGS = 10_000

WITH_AVATAR = {Status.READY, Status.TRAINING_FAILED, Status.REFUSED, Status.TIMED_OUT, Status.VANISHED}


@dataclass
class InvariantViolations:
    """Descriptions of violated guarantees; all lists are empty if there are none."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Return whether any guarantee was violated."""
        return bool(self.lost or self.duplicated or self.other)


async def all_terminal(ledger: LedgerReader) -> bool:
    """Return whether every provisioning is terminal, or ACCEPTED with an operational reason."""
    return all(_is_at_rest(provisioning) for provisioning in await ledger.list_latest(None, MAX_PROVISIONINGS))


async def check_invariants(
    ledger: LedgerReader, account: Account, retrains: Mapping[str, int] | None = None
) -> InvariantViolations:
    """Check a ledger without provisionings in flight against every avatar at the simulator.

    Avatars that Argil dropped before the ledger knew them are ignored: neither the list nor a GET shows them.

    Args:
        ledger: The ledger.
        account: The account at the simulator.
        retrains: How many retrains persons asked for, by name.

    """
    violations = InvariantViolations()
    provisionings = await ledger.list_latest(None, MAX_PROVISIONINGS)
    visible_ids = {avatar["id"] for avatar in account.list_avatars()}
    visible_ids |= {provisioning.avatar_id for provisioning in provisionings}
    avatars_by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for avatar in account.avatars:
        if avatar["id"] in visible_ids:
            avatars_by_name[avatar["name"]].append(avatar)
    submissions = await ledger.list_submissions_by_provisioning([provisioning.id for provisioning in provisionings])
    for provisioning in provisionings:
        avatars = avatars_by_name.pop(provisioning.name, [])
        events = await ledger.list_events(provisioning.id)
        abandoned = min((retrains or {}).get(provisioning.name, 0), _count_abandoned(events))
        _check_provisioning(violations, provisioning, submissions[provisioning.id], avatars, abandoned)
        _check_request(violations, provisioning, avatars, account)
        _check_events(violations, provisioning, events)
        clones = await VoiceCloneWriter(ledger.database, ledger._clock).list_voice_clones(provisioning.id)
        _check_voices(violations, provisioning, clones, account)
    for name, avatars in avatars_by_name.items():
        violations.lost.append(f"{name}: {len(avatars)} avatars are not in the ledger")
    violations.other += await ledger.database.read(find_counter_differences)
    return violations


def find_counter_differences(connection: Connection) -> list[str]:
    """Compare the counters of days and batches with the submissions."""
    columns = submission_table.c
    expected: Counter[str] = Counter()
    for row in connection.execute(select(columns.created_at, columns.batch_id, columns.state)):
        counts = row.state != SubmissionState.NOT_CREATED
        expected[day_counter(row.created_at)] += counts
        if row.batch_id is not None:
            expected[batch_counter(row.batch_id)] += counts
    stored: Counter[str] = Counter()
    for name, count in connection.execute(select(counter_table)):
        stored[name] = count
    return [
        f"counter {name} is {stored[name]}, but {expected[name]} submissions count"
        for name in sorted({*expected, *stored})
        if stored[name] != expected[name]
    ]


def _check_provisioning(
    violations: InvariantViolations,
    provisioning: Provisioning,
    submissions: list[Submission],
    avatars: list[dict[str, Any]],
    abandoned: int,
) -> None:
    name = f"{provisioning.name} ({provisioning.status})"
    submission_ids = {submission.id for submission in submissions}
    violations.lost += [
        f"{name}: avatar {avatar['id']} has a submission id that is not in the ledger"
        for avatar in avatars
        if avatar["extras"].get("submission_id") not in submission_ids
    ]
    if not _is_at_rest(provisioning):
        violations.lost.append(f"{name}: not at rest; reasons {provisioning.reasons}")
    earlier = provisioning.retrain_count + abandoned
    allowed = earlier + (provisioning.status in WITH_AVATAR or provisioning.status is Status.CANCELLED)
    if len(avatars) > allowed:
        violations.duplicated.append(f"{name}: {len(avatars)} avatars at Argil, at most {allowed} allowed")
    if provisioning.status in WITH_AVATAR and provisioning.avatar_id not in {avatar["id"] for avatar in avatars}:
        violations.lost.append(f"{name}: avatar {provisioning.avatar_id} is not at Argil")
    if provisioning.status is Status.CANCELLED and len(avatars) > earlier and provisioning.avatar_id is None:
        violations.lost.append(f"{name}: its avatar is at Argil but not in the ledger")
    pending = [submission.ordinal for submission in submissions if submission.state is SubmissionState.PENDING]
    if pending and provisioning.status is not Status.CANCELLED:
        violations.other.append(f"{name}: submissions {pending} are still pending")


def _count_abandoned(events: list[ProvisioningEvent]) -> int:
    """Return how often another avatar was to take the place of one that failed, is gone, or may still appear."""
    return sum(
        event.message.startswith(RETRAINED) and event.from_status is not Status.SUBMISSION_FAILED
        for event in events
    )


def _check_request(
    violations: InvariantViolations,
    provisioning: Provisioning,
    avatars: list[dict[str, Any]],
    account: Account,
) -> None:
    """Check that Argil created the recorded avatar from the recordings of the current request, however signed."""
    sent = {create.body["extras"]["submission_id"]: _primary_url(create.body) for create in account.received}
    expected = next(iter(provisioning.request.recordings.values())).partition("?")[0]
    for avatar in avatars:
        url = sent[avatar["extras"]["submission_id"]].partition("?")[0]
        if avatar["id"] == provisioning.avatar_id and url != expected:
            violations.other.append(f"{provisioning.name}: avatar {avatar['id']} was created from {url}")


def _check_voices(
    violations: InvariantViolations, provisioning: Provisioning, clones: list[VoiceClone], account: Account
) -> None:
    """Check that each sample was cloned once, and that no create names another voice, such as a namesake's."""
    if MediaRole.VOICE_SAMPLE not in provisioning.request.recordings:
        return
    sample = provisioning.request.recordings[MediaRole.VOICE_SAMPLE]
    voices = [voice for voice in account.voices.cloned if voice["sampleUrl"] == sample]
    if len(voices) > 1:
        violations.duplicated.append(f"{provisioning.name}: {len(voices)} voices were cloned from one sample")
    known_ids = {clone.voice_id for clone in clones if clone.voice_id}
    if provisioning.status in WITH_AVATAR and known_ids != {voice["id"] for voice in voices}:
        violations.lost.append(f"{provisioning.name}: the ledger has the voices {known_ids}, Argil has {voices}")
    sent = {post.body.get("voiceId") for post in account.received if post.body["name"] == provisioning.name}
    if not sent <= known_ids:
        violations.other.append(f"{provisioning.name}: creates name the voices {sent}, not {known_ids}")
    if provisioning.status is Status.READY and provisioning.voice_id not in {*known_ids, None}:
        violations.other.append(f"{provisioning.name}: the voice {provisioning.voice_id} is not its own")


def _primary_url(body: dict[str, Any]) -> str:
    """Return the URL of the recording that the avatar is made from."""
    source = body["datasetImage"] if body.get("type") == "IMAGE" else body["datasetVideo"]
    return str(source["url"])


def _is_at_rest(provisioning: Provisioning) -> bool:
    return provisioning.status.is_terminal or (
        provisioning.status is Status.ACCEPTED and bool(provisioning.reasons)
    )


def _check_events(
    violations: InvariantViolations, provisioning: Provisioning, events: list[ProvisioningEvent]
) -> None:
    status: Status | None = None
    for event in events:
        if event.from_status != status:
            violations.other.append(
                f"{provisioning.name}: an event leaves {event.from_status}, but the previous one led to {status}"
            )
        status = event.to_status
        if event.from_status is None:
            continue
        if status is not event.from_status and status not in TRANSITIONS[event.from_status]:
            violations.other.append(
                f"{provisioning.name}: no transition exists from {event.from_status} to {status}"
            )
    if status is not provisioning.status:
        violations.other.append(
            f"{provisioning.name}: the events lead to {status}, but the status is {provisioning.status}"
        )
