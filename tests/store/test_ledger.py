"""The ledger on both engines."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Connection, select, update

from models.adopted_request import AdoptedRequest
from models.errors import (
    DatabaseError,
    InvalidTransition,
    LeaseLost,
    LeaseUnavailable,
    ReferenceConflict,
    ReferenceIsId,
    StaleVersion,
    UnknownProvisioning,
)
from models.image_request import ImageRequest
from models.manifest.validation import derived_reference
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState
from models.reason import Reason
from models.request import ProvisioningRequest
from models.tables import provisioning_table
from models.text.normalization import normalize_reference
from store.database import Database
from store.leases import LeaseRepository
from store.ledger import Ledger
from tests.fakes import FakeClock

LEASE = timedelta(seconds=30)
_EXPIRES_AT = provisioning_table.c.lease_expires_at


@pytest.fixture
def ledger(database: Database, clock: FakeClock) -> Ledger:
    return Ledger(database, clock)


@pytest.fixture
def leases(database: Database, clock: FakeClock) -> LeaseRepository:
    return LeaseRepository(database, clock)


@pytest.fixture
async def accepted(ledger: Ledger, provisioning_request: ProvisioningRequest, owner: LeaseOwner) -> Provisioning:
    return (await ledger.get_or_create(provisioning_request, "ada-1", owner))[0]


def make_owner() -> LeaseOwner:
    return LeaseOwner(actor="another", id=str(uuid4()))


async def move_leases(database: Database, seconds: float) -> None:
    """Set all leases ahead, or back, as a step of their clock in the other direction does."""

    def move(connection: Connection) -> None:
        for key, expires_at in connection.execute(select(provisioning_table.c.id, _EXPIRES_AT)).all():
            if expires_at is not None:
                moved = expires_at + timedelta(seconds=seconds)
                connection.execute(
                    update(provisioning_table).where(provisioning_table.c.id == key).values(lease_expires_at=moved)
                )

    await database.write(move)


async def pass_lease_time(database: Database, clock: FakeClock, seconds: float) -> None:
    """Let time pass for leases: PostgreSQL's own clock cannot be advanced."""
    clock.advance(seconds)
    if not database.is_sqlite:
        await move_leases(database, -seconds)


async def test_new_request_is_accepted_with_an_event(
    ledger: Ledger, accepted: Provisioning, provisioning_request: ProvisioningRequest, clock: FakeClock
) -> None:
    assert accepted.status is Status.ACCEPTED
    assert accepted.created_at == clock.now()
    assert accepted.request.recordings[MediaRole.DATASET] == provisioning_request.dataset_video
    assert await ledger.get(accepted.id) == await ledger.get("ada-1") == accepted
    [event] = await ledger.list_events(accepted.id)
    assert (event.from_status, event.to_status, event.actor) == (None, Status.ACCEPTED, "test")


async def test_same_reference_and_request_attach(
    ledger: Ledger, accepted: Provisioning, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    again, is_new = await ledger.get_or_create(provisioning_request, "ada-1", owner)
    assert not is_new
    assert again == accepted
    assert len(await ledger.list_events(accepted.id)) == 1


async def test_new_signature_replaces_the_url_while_accepted(
    ledger: Ledger, accepted: Provisioning, provisioning_request: ProvisioningRequest
) -> None:
    re_signed = provisioning_request.model_copy(
        update={"dataset_video": "https://videos.example/ada/dataset.mp4?X-Amz-Signature=2"}
    )
    again, is_new = await ledger.get_or_create(re_signed, "ada-1", make_owner())
    assert not is_new
    assert again.id == accepted.id
    assert again.request.recordings[MediaRole.DATASET].endswith("?X-Amz-Signature=2")


OTHER_REQUESTS = [
    {"name": "Grace"},
    {"dataset_video": "https://videos.example/other.mp4"},
    {"consent_video": "https://videos.example/other.mp4"},
    {"extras": {"team": "blue"}},
]


@pytest.mark.parametrize("change", OTHER_REQUESTS)
async def test_other_request_of_a_submitted_one_is_a_conflict(
    ledger: Ledger,
    accepted: Provisioning,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    change: dict[str, object],
) -> None:
    submitting, _ = await ledger.begin_submission(accepted, owner, "recorded")
    with pytest.raises(ReferenceConflict, match="ada-1"):
        await ledger.get_or_create(provisioning_request.model_copy(update=change), "ada-1", make_owner())
    assert await ledger.get("ada-1") == submitting
    assert len(await ledger.list_events(accepted.id)) == 2


ID_FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "upper case": str.upper,
    "without hyphens": lambda text: text.replace("-", ""),
    "braces": "{{{}}}".format,
    "URN": "urn:uuid:{}".format,
    "white space around": "  {}\u200b".format,
}
"""Ways to write the id of a provisioning, by description."""


@pytest.mark.parametrize("form", ID_FORMS.values(), ids=ID_FORMS)
async def test_id_of_another_provisioning_is_not_a_reference(
    ledger: Ledger,
    accepted: Provisioning,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    form: Callable[[str], str],
) -> None:
    reference = normalize_reference(form(accepted.id))
    with pytest.raises(ReferenceIsId, match="is the id of provisioning") as caught:
        await ledger.get_or_create(provisioning_request, reference, owner)
    assert f"`avatars resume {accepted.id}`" in caught.value.hint
    assert await ledger.count_by_status() == {Status.ACCEPTED: 1}
    assert await ledger.get(reference) == accepted


async def test_id_of_a_flow_run_is_a_reference(
    ledger: Ledger, accepted: Provisioning, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    reference = str(uuid4())
    provisioning, is_new = await ledger.get_or_create(provisioning_request, reference, owner)
    assert is_new
    assert (await ledger.get(reference)).id == provisioning.id
    again, is_new = await ledger.get_or_create(provisioning_request, reference, owner)
    assert (again.id, is_new) == (provisioning.id, False)


async def test_refused_reference_does_not_undo_concurrent_requests(
    ledger: Ledger, accepted: Provisioning, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    references = ["first", accepted.id, "second"]
    results = await asyncio.gather(
        *(ledger.get_or_create(provisioning_request, reference, owner) for reference in references),
        return_exceptions=True,
    )
    assert [isinstance(result, ReferenceIsId) for result in results] == [False, True, False]
    assert await ledger.count_by_status() == {Status.ACCEPTED: 3}


async def test_concurrent_requests_record_a_reference_once(
    ledger: Ledger, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    opened = await asyncio.gather(*(ledger.get_or_create(provisioning_request, "race", owner) for _ in range(20)))
    assert len({provisioning.id for provisioning, _ in opened}) == 1
    assert sum(is_new for _, is_new in opened) == 1


@pytest.mark.parametrize("key", ["unknown", "", "\0", "\ud800", "\x1b[2J", "x" * 100_000])
async def test_get_raises_for_an_unknown_key(ledger: Ledger, key: str) -> None:
    with pytest.raises(UnknownProvisioning, match="no provisioning has the id or reference"):
        await ledger.get(key)


async def test_transition_is_recorded_with_its_event(
    ledger: Ledger, accepted: Provisioning, owner: LeaseOwner
) -> None:
    reason = Reason(code="dataset.duration-too-short", message="40 s, at least 60 s", hint="record more")
    rejected = await ledger.transition(
        accepted, owner, "rules broken", new_status=Status.REJECTED, reasons=[reason]
    )
    assert rejected.status is Status.REJECTED
    assert rejected.reasons == [reason]
    assert await ledger.get(accepted.id) == rejected
    event = (await ledger.list_events(accepted.id))[-1]
    assert (event.from_status, event.to_status, event.message) == (Status.ACCEPTED, Status.REJECTED, "rules broken")


async def test_transition_outside_the_table_is_rejected(
    ledger: Ledger, accepted: Provisioning, owner: LeaseOwner
) -> None:
    with pytest.raises(InvalidTransition, match="ACCEPTED to READY"):
        await ledger.transition(accepted, owner, "no", new_status=Status.READY)
    assert await ledger.get(accepted.id) == accepted


async def test_only_one_writer_per_version_succeeds(
    ledger: Ledger, accepted: Provisioning, owner: LeaseOwner
) -> None:
    results = await asyncio.gather(
        *(ledger.begin_submission(accepted, owner, f"writer {n}") for n in range(10)), return_exceptions=True
    )
    assert sum(isinstance(result, StaleVersion) for result in results) == 9
    assert len(await ledger.list_submissions(accepted.id)) == 1
    assert len(await ledger.list_events(accepted.id)) == 2


async def test_submission_is_resolved_with_the_transition(
    ledger: Ledger, accepted: Provisioning, owner: LeaseOwner, clock: FakeClock
) -> None:
    submitting, submission = await ledger.begin_submission(accepted, owner, "recorded")
    assert submitting.status is Status.SUBMITTING
    assert [submission.state for submission in await ledger.list_submissions(accepted.id)] == [
        SubmissionState.PENDING
    ]
    clock.advance(2)
    training = await ledger.resolve_submission(
        submitting,
        owner,
        "created",
        submission,
        SubmissionState.CREATED,
        new_status=Status.TRAINING,
        avatar_id="a-1",
        training_started_at=submission.created_at,
    )
    assert (training.status, training.avatar_id) == (Status.TRAINING, "a-1")
    assert training.training_started_at == submission.created_at
    [resolved] = await ledger.list_submissions(accepted.id)
    assert (resolved.state, resolved.avatar_id, resolved.state_changed_at) == (
        SubmissionState.CREATED,
        "a-1",
        clock.now(),
    )


async def test_stale_owner_resolves_no_submission(
    ledger: Ledger, accepted: Provisioning, owner: LeaseOwner
) -> None:
    submitting, submission = await ledger.begin_submission(accepted, owner, "recorded")
    await ledger.transition(submitting, make_owner(), "changed by another owner")
    with pytest.raises(StaleVersion):
        await ledger.resolve_submission(
            submitting,
            owner,
            "late",
            submission,
            SubmissionState.CREATED,
            new_status=Status.TRAINING,
            avatar_id="a-1",
        )
    assert [submission.state for submission in await ledger.list_submissions(accepted.id)] == [
        SubmissionState.PENDING
    ]


async def test_lease_excludes_other_owners_until_it_expires(
    ledger: Ledger, leases: LeaseRepository, accepted: Provisioning, owner: LeaseOwner, clock: FakeClock
) -> None:
    acquired = await leases.acquire(accepted.id, owner, LEASE)
    other_owner = make_owner()
    with pytest.raises(LeaseUnavailable):
        await leases.acquire(accepted.id, other_owner, LEASE)
    await pass_lease_time(ledger.database, clock, 20)
    await leases.renew(accepted.id, owner, LEASE)
    await pass_lease_time(ledger.database, clock, 20)
    with pytest.raises(LeaseUnavailable):
        await leases.acquire(accepted.id, other_owner, LEASE)
    await pass_lease_time(ledger.database, clock, 10)
    await leases.acquire(accepted.id, other_owner, LEASE)
    with pytest.raises(StaleVersion):
        await ledger.transition(acquired, owner, "written without the lease", new_status=Status.REJECTED)
    with pytest.raises(LeaseLost):
        await leases.renew(accepted.id, owner, LEASE)


@pytest.mark.parametrize(("seconds_ahead", "blocks"), [(0, True), (15, True), (60, False), (7200, False)])
async def test_lease_far_ahead_of_its_duration_blocks_no_one(
    ledger: Ledger,
    leases: LeaseRepository,
    accepted: Provisioning,
    owner: LeaseOwner,
    clock: FakeClock,
    seconds_ahead: float,
    blocks: bool,
) -> None:
    leased = await leases.acquire(accepted.id, LeaseOwner(actor="a", id="a", flow_run_id="run-1"), LEASE)
    await move_leases(ledger.database, seconds_ahead)
    assert await ledger.holds_leases("run-1") is blocks
    assert (await ledger.list_unleased(Status.ACCEPTED) == [leased]) is not blocks
    assert (await ledger.find_unleased_ids([leased.id]) == {leased.id}) is not blocks
    with contextlib.ExitStack() as stack:
        if blocks:
            stack.enter_context(pytest.raises(LeaseUnavailable))
        await leases.acquire(accepted.id, owner, LEASE)


async def test_released_lease_ahead_of_the_clock_is_pending(
    ledger: Ledger, leases: LeaseRepository, accepted: Provisioning, owner: LeaseOwner, clock: FakeClock
) -> None:
    await leases.acquire(accepted.id, owner, LEASE)
    await leases.release(accepted.id, owner)
    await move_leases(ledger.database, 7200)
    acquired = await leases.acquire_next_pending(
        owner, LEASE, started_at=clock.now(), blocked_before=clock.now() - LEASE
    )
    assert acquired is not None


@pytest.mark.parametrize("reasons", [[], [Reason(code="argil.unreachable", message="x")]])
@pytest.mark.parametrize(("step", "is_pending"), [(0, False), (-10, False), (-7200, True)])
async def test_change_ahead_of_the_clock_is_pending(
    ledger: Ledger,
    leases: LeaseRepository,
    accepted: Provisioning,
    owner: LeaseOwner,
    clock: FakeClock,
    reasons: list[Reason],
    step: float,
    is_pending: bool,
) -> None:
    """The clock was set back after the change: a run that starts now does not wait until that time."""
    await ledger.transition(accepted, owner, "changed", reasons=reasons)
    clock.step(step)
    started_at = clock.now() - timedelta(seconds=1)
    acquired = await leases.acquire_next_pending(owner, LEASE, started_at=started_at, blocked_before=started_at)
    assert (acquired is not None) is is_pending


async def test_probe_is_first_one_that_no_other_error_stopped(
    ledger: Ledger,
    leases: LeaseRepository,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    clock: FakeClock,
) -> None:
    codes = ("budget.batch", "media.unreachable", "pause.payment", "argil.payment-required")
    for code in codes:
        created, _ = await ledger.get_or_create(provisioning_request, code, owner)
        reasons = [Reason(code=code, message="x")]
        clock.advance(1)
        await ledger.transition(created, owner, "stopped", reasons=reasons)
    clock.advance(1)
    await ledger.touch(await ledger.get("budget.batch"))
    await ledger.get_or_create(provisioning_request, "new", owner)
    clock.advance(1)
    now, taken = clock.now(), []
    while acquired := await leases.acquire_next_pending(
        owner, LEASE, started_at=now, blocked_before=now, is_probe=True
    ):
        taken.append(acquired.reference)
    assert taken == ["pause.payment", "argil.payment-required", "new", "media.unreachable", "budget.batch"]


@pytest.mark.parametrize("step", [7200.0, -7200.0])
async def test_leases_on_postgresql_ignore_the_clock_of_the_machine(
    ledger: Ledger,
    leases: LeaseRepository,
    accepted: Provisioning,
    owner: LeaseOwner,
    clock: FakeClock,
    step: float,
) -> None:
    if ledger.database.is_sqlite:
        pytest.skip("the processes that use a SQLite ledger share the clock of one machine")
    await leases.acquire(accepted.id, owner, LEASE)
    clock.step(step)
    assert await ledger.list_unleased(Status.ACCEPTED) == []
    with pytest.raises(LeaseUnavailable):
        await leases.acquire(accepted.id, make_owner(), LEASE)


async def test_renew_all_returns_the_lost_leases(
    ledger: Ledger,
    leases: LeaseRepository,
    provisioning_request: ProvisioningRequest,
    owner: LeaseOwner,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("store.membership.VALUES_PER_QUERY", 2)
    opened = [(await ledger.get_or_create(provisioning_request, f"ada-{n}", owner))[0] for n in range(5)]
    for provisioning in opened[:4]:
        await leases.acquire(provisioning.id, owner, LEASE)
    await leases.acquire(opened[4].id, make_owner(), LEASE)
    await pass_lease_time(ledger.database, clock, 20)
    lost = await leases.renew_all([provisioning.id for provisioning in opened], owner, LEASE)
    assert lost == {opened[4].id}
    await pass_lease_time(ledger.database, clock, 20)
    with pytest.raises(LeaseUnavailable):
        await leases.acquire(opened[3].id, make_owner(), LEASE)


async def test_released_lease_can_be_acquired_at_once(
    leases: LeaseRepository, accepted: Provisioning, owner: LeaseOwner
) -> None:
    await leases.acquire(accepted.id, owner, LEASE)
    await leases.release(accepted.id, owner)
    await leases.acquire(accepted.id, make_owner(), LEASE)


async def test_one_of_many_concurrent_acquires_succeeds(leases: LeaseRepository, accepted: Provisioning) -> None:
    attempts = (leases.acquire(accepted.id, make_owner(), LEASE) for _ in range(10))
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(result, LeaseUnavailable) for result in results) == 9


async def test_list_latest_is_newest_first_and_filters_by_status(
    ledger: Ledger, provisioning_request: ProvisioningRequest, owner: LeaseOwner, clock: FakeClock
) -> None:
    for number in range(3):
        opened, _ = await ledger.get_or_create(provisioning_request, f"ref-{number}", owner)
        if number == 1:
            await ledger.transition(opened, owner, "no", new_status=Status.REJECTED)
        clock.advance(1)
    assert [provisioning.reference for provisioning in await ledger.list_latest(None, 2)] == ["ref-2", "ref-1"]
    assert [provisioning.reference for provisioning in await ledger.list_latest(Status.REJECTED, 9)] == ["ref-1"]


async def test_submissions_of_many_provisionings_are_listed(
    ledger: Ledger, accepted: Provisioning, provisioning_request: ProvisioningRequest, owner: LeaseOwner
) -> None:
    other, _ = await ledger.get_or_create(provisioning_request, "ada-2", owner)
    _, submission = await ledger.begin_submission(accepted, owner, "recorded")
    assert await ledger.list_submissions_by_provisioning([accepted.id, other.id]) == {
        accepted.id: [submission],
        other.id: [],
    }


async def test_unleased_provisioning_is_found_by_avatar_id(
    ledger: Ledger, leases: LeaseRepository, accepted: Provisioning, owner: LeaseOwner, clock: FakeClock
) -> None:
    submitting = await ledger.transition(accepted, owner, "sending", new_status=Status.SUBMITTING)
    training = await ledger.transition(submitting, owner, "created", new_status=Status.TRAINING, avatar_id="a-1")
    assert await ledger.find_unleased_provisioning("a-1") == training
    assert await ledger.find_unleased_provisioning("a-2") is None
    acquired = await leases.acquire(training.id, owner, LEASE)
    assert await ledger.find_unleased_provisioning("a-1") is None
    await pass_lease_time(ledger.database, clock, LEASE.total_seconds())
    assert await ledger.find_unleased_provisioning("a-1") == acquired
    await leases.release(training.id, owner)
    await ledger.transition(acquired, owner, "Argil reports IDLE", new_status=Status.READY)
    assert await ledger.find_unleased_provisioning("a-1") is None


async def test_unreachable_ledger_raises_database_error(clock: FakeClock) -> None:
    database = Database("postgresql+asyncpg://user:canary-password@127.0.0.1:1/ledger")
    with pytest.raises(DatabaseError) as caught:
        await Ledger(database, clock).find_unleased_provisioning("a")
    assert "canary" not in str(caught.value)
    await database.close()


async def test_each_kind_of_request_is_read_as_it_was_recorded(
    ledger: Ledger, provisioning_request: ProvisioningRequest, image_request: ImageRequest, owner: LeaseOwner
) -> None:
    adopted = AdoptedRequest(name="Ada")
    for request in (provisioning_request, image_request, adopted):
        recorded, _ = await ledger.get_or_create(request, f"{request.kind}-1", owner)
        read = await ledger.get(recorded.id)
        assert read.request == request.model_copy(update={"reference": f"{request.kind}-1"})
        assert (read.kind, read.request_fingerprint) == (request.kind, request.fingerprint)


@pytest.mark.parametrize("is_submitted", [False, True])
async def test_uri_of_a_known_store_attaches_to_the_request_by_url(
    ledger: Ledger, leases: LeaseRepository, owner: LeaseOwner, *, is_submitted: bool
) -> None:
    host = "https://recordings.s3.eu-west-1.amazonaws.com"
    by_url, by_uri = (
        ProvisioningRequest(
            name="Ada",
            dataset_video=f"{folder}/Ada%20L/dataset.mp4{query}",
            consent_video=f"{folder}/Ada%20L/consent.mp4{query}",
        )
        for folder, query in ((host, "?X-Amz-Signature=canary-signature"), ("s3://recordings", ""))
    )
    references = [derived_reference(by_url), "ada-1"]
    assert derived_reference(by_uri) == references[0]
    for reference in references:
        opened, _ = await ledger.get_or_create(by_url, reference, owner)
        if is_submitted:
            opened = await leases.acquire(opened.id, owner, LEASE)
            for status in (Status.SUBMITTING, Status.TRAINING, Status.READY):
                opened = await ledger.transition(opened, owner, "next", new_status=status)
        attached, is_new = await ledger.get_or_create(by_uri, reference, owner)
        assert (attached.id, attached.status, is_new) == (opened.id, opened.status, False)
    assert sum((await ledger.count_by_status()).values()) == len(references)
