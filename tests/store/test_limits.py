"""Counters of submissions and pauses in the ledger, on both engines."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event

from models.errors import BatchBudgetUsed, DayBudgetUsed, PaymentPaused, RatePaused, SubmissionPaused
from models.limits import MAX_PAUSE, PauseCause, SubmissionGuard, batch_counter, day_counter
from models.provisioning import LeaseOwner, Provisioning, Status, Submission, SubmissionState
from models.request import ProvisioningRequest, RequestKind
from models.spend_limits import SpendLimits
from store.counters import read_counts
from store.database import Database
from store.ledger import Ledger
from store.limits import LimitRepository
from tests.fakes import FakeClock

KEY, OTHER_KEY = "a" * 64, "b" * 64
GUARD = SubmissionGuard(api_key_sha256=KEY)
VIDEO = RequestKind.VIDEO
BATCH = "3a2bd7ee-6d3c-4a3b-8f0c-4bb3b41a3e4b"


class LimitedLedger:
    """A ledger with limits, and shorthands to submit and to resolve."""

    def __init__(
        self, database: Database, clock: FakeClock, owner: LeaseOwner, request: ProvisioningRequest
    ) -> None:
        self.database, self.clock, self.owner, self.request = database, clock, owner, request
        self.ledger = Ledger(database, clock)
        self.limits = LimitRepository(database, clock)

    async def accepted(self, batch_id: str | None = None) -> Provisioning:
        owner = self.owner.model_copy(update={"batch_id": batch_id})
        created, _ = await self.ledger.get_or_create(self.request, str(uuid4())[:8] + "-ref", owner)
        return created

    async def submit(
        self, guard: SubmissionGuard = GUARD, batch_id: str | None = None
    ) -> tuple[Provisioning, Submission]:
        return await self.ledger.begin_submission(await self.accepted(batch_id), self.owner, "submitted", guard)

    async def resolve(
        self,
        submitted: tuple[Provisioning, Submission],
        state: SubmissionState,
        status: Status | None = None,
        cause: PauseCause | None = None,
    ) -> Provisioning:
        provisioning, submission = submitted
        return await self.ledger.resolve_submission(
            provisioning,
            self.owner,
            state,
            submission,
            state,
            new_status=status,
            pause=None if cause is None else (cause, GUARD),
        )

    async def refuse_payment(self, submitted: tuple[Provisioning, Submission]) -> None:
        await self.resolve(submitted, SubmissionState.NOT_CREATED, Status.ACCEPTED, PauseCause.PAYMENT)

    async def counts(self, *names: str) -> list[int]:
        counts = await self.database.read(lambda connection: read_counts(connection, names))
        return [counts[name] for name in names]

    async def today(self) -> int:
        [count] = await self.counts(day_counter(self.clock.now()))
        return count


@pytest.fixture
async def limited(
    database: Database, clock: FakeClock, owner: LeaseOwner, provisioning_request: ProvisioningRequest
) -> LimitedLedger:
    return LimitedLedger(database, clock, owner, provisioning_request)


# The spend guard


async def test_submissions_beyond_the_limit_of_a_day_are_not_recorded(limited: LimitedLedger) -> None:
    guard = SubmissionGuard(SpendLimits(per_day=2), KEY)
    for _ in range(2):
        await limited.submit(guard)
    accepted = await limited.accepted()
    with pytest.raises(DayBudgetUsed) as caught:
        await limited.ledger.begin_submission(accepted, limited.owner, "submitted", guard)
    assert "AVATARS_MAX_CREATES_PER_DAY=2" in caught.value.message
    assert await limited.today() == 2
    assert await limited.ledger.get(accepted.id) == accepted
    assert await limited.ledger.list_submissions(accepted.id) == []
    limited.clock.advance(timedelta(days=1).total_seconds())
    await limited.submit(guard)
    assert await limited.today() == 1


async def test_limit_of_a_batch_leaves_the_day_unchanged(limited: LimitedLedger) -> None:
    guard = SubmissionGuard(SpendLimits(per_day=9, per_batch=1), KEY)
    await limited.submit(guard, BATCH)
    with pytest.raises(BatchBudgetUsed):
        await limited.submit(guard, BATCH)
    await limited.submit(guard)
    assert await limited.counts(day_counter(limited.clock.now()), batch_counter(BATCH)) == [2, 1]
    assert (await limited.limits.read(guard, BATCH)).created_in_batch == 1


async def test_submissions_count_without_a_limit(limited: LimitedLedger) -> None:
    """So that a limit that is set later in the day applies to the whole day."""
    for _ in range(3):
        await limited.submit()
    with pytest.raises(DayBudgetUsed):
        await limited.submit(SubmissionGuard(SpendLimits(per_day=3), KEY))


@pytest.mark.parametrize("lowered", [0, 1, 3])
async def test_lowered_limit_applies_to_what_was_submitted(limited: LimitedLedger, lowered: int) -> None:
    for _ in range(3):
        await limited.submit(batch_id=BATCH)
    for limits in (SpendLimits(per_day=lowered), SpendLimits(per_batch=lowered)):
        with pytest.raises((DayBudgetUsed, BatchBudgetUsed)):
            await limited.submit(SubmissionGuard(limits, KEY), BATCH)
    assert await limited.counts(day_counter(limited.clock.now()), batch_counter(BATCH)) == [3, 3]
    await limited.submit(SubmissionGuard(SpendLimits(4, 4), KEY), BATCH)


async def test_api_keys_of_one_ledger_share_the_budget(limited: LimitedLedger) -> None:
    limits = SpendLimits(per_day=1)
    await limited.submit(SubmissionGuard(limits, KEY))
    with pytest.raises(DayBudgetUsed):
        await limited.submit(SubmissionGuard(limits, OTHER_KEY))


async def test_replacement_counts_for_the_batch_that_took_it(limited: LimitedLedger) -> None:
    """The submission of the request that was replaced created nothing, so it counts for no batch."""
    owners = [LeaseOwner(actor="provision-batch", id=str(uuid4()), batch_id=str(uuid4())) for _ in range(2)]
    for number, owner in enumerate(owners):
        request = limited.request.model_copy(update={"name": f"row {number}"})
        taken, is_new = await limited.ledger.get_or_create(request, "replaced", owner)
        assert is_new is (number == 0)
        limited.owner = owner
        submitted = await limited.ledger.begin_submission(taken, owner, "submitted", GUARD)
        if number == 0:
            await limited.resolve(submitted, SubmissionState.NOT_CREATED, Status.ACCEPTED)
    names = [batch_counter(owner.batch_id or "") for owner in owners]
    assert await limited.counts(day_counter(limited.clock.now()), *names) == [1, 0, 1]


async def test_submission_counts_for_the_batch_that_took_the_row_meanwhile(limited: LimitedLedger) -> None:
    monday, tuesday = (limited.owner.model_copy(update={"batch_id": str(uuid4())}) for _ in range(2))
    read, _ = await limited.ledger.get_or_create(limited.request, "shared", monday)
    taken, _ = await limited.ledger.get_or_create(limited.request, "shared", tuesday)
    assert taken.version == read.version
    submitted = await limited.ledger.begin_submission(read, monday, "submitted", GUARD)
    names = [batch_counter(owner.batch_id or "") for owner in (monday, tuesday)]
    assert await limited.counts(*names) == [0, 1]
    await limited.resolve(submitted, SubmissionState.NOT_CREATED, Status.ACCEPTED)
    assert await limited.counts(*names) == [0, 0]


async def test_limits_add_no_statement_to_a_submission(limited: LimitedLedger) -> None:
    statements: list[str] = []
    await limited.submit(batch_id=BATCH)  # the first one of a day and of a batch creates their counters
    event.listen(
        limited.database.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
    )
    counts = []
    for limits in (SpendLimits(), SpendLimits(per_day=1000, per_batch=1000)):
        accepted = await limited.accepted(BATCH)
        statements.clear()
        await limited.ledger.begin_submission(accepted, limited.owner, "submitted", SubmissionGuard(limits, KEY))
        counts.append(sum(statement.startswith(("SELECT", "INSERT", "UPDATE")) for statement in statements))
    assert counts[0] == counts[1]
    assert sum("counters" in statement for statement in statements) == 2


@pytest.mark.parametrize(
    ("state", "status", "count"),
    [
        (SubmissionState.NOT_CREATED, Status.ACCEPTED, 0),
        (SubmissionState.NOT_CREATED, Status.SUBMISSION_FAILED, 0),
        (SubmissionState.LOST, Status.ACCEPTED, 1),
        (SubmissionState.UNKNOWN, None, 1),
        (SubmissionState.CREATED, Status.TRAINING, 1),
    ],
)
async def test_only_a_submission_that_created_nothing_counts_no_longer(
    limited: LimitedLedger, state: SubmissionState, status: Status | None, count: int
) -> None:
    day = day_counter(limited.clock.now())
    submitted = await limited.submit(batch_id=BATCH)
    await limited.submit()
    limited.clock.advance(timedelta(days=1).total_seconds())
    await limited.submit()
    await limited.resolve(submitted, state, status)
    assert await limited.counts(day, batch_counter(BATCH)) == [count + 1, count]
    assert await limited.today() == 1


async def test_avatar_found_of_a_rejected_submission_counts_again(limited: LimitedLedger) -> None:
    submitted = await limited.submit()
    await limited.resolve(submitted, SubmissionState.NOT_CREATED, Status.SUBMISSION_FAILED)
    for _ in range(2):
        await limited.ledger.record_avatar(submitted[1], "avatar-1")
        assert await limited.today() == 1


async def test_stale_resolution_changes_no_counter(limited: LimitedLedger) -> None:
    submitted = await limited.submit()
    await limited.resolve(submitted, SubmissionState.NOT_CREATED, Status.ACCEPTED)
    with pytest.raises(Exception, match="changed by another owner"):
        await limited.resolve(submitted, SubmissionState.NOT_CREATED, Status.ACCEPTED)
    assert await limited.today() == 0


# Pauses


async def test_payment_pause_lets_one_submission_through_every_15_minutes(limited: LimitedLedger) -> None:
    await limited.refuse_payment(await limited.submit())
    for _ in range(3):
        with pytest.raises(PaymentPaused):
            await limited.submit()
        limited.clock.advance(MAX_PAUSE.total_seconds() - 1)
        with pytest.raises(PaymentPaused):
            await limited.submit()
        limited.clock.advance(1)
        await limited.refuse_payment(await limited.submit())
    assert await limited.today() == 0


async def test_only_the_success_of_the_probe_ends_the_pause(limited: LimitedLedger) -> None:
    in_flight = await limited.submit()
    await limited.refuse_payment(await limited.submit())
    await limited.resolve(in_flight, SubmissionState.CREATED, Status.TRAINING)
    with pytest.raises(PaymentPaused):
        await limited.submit()
    limited.clock.advance(MAX_PAUSE.total_seconds())
    probe = await limited.submit()
    with pytest.raises(PaymentPaused):
        await limited.submit()
    await limited.resolve(probe, SubmissionState.CREATED, Status.TRAINING)
    await limited.submit()
    assert (await limited.limits.read(GUARD)).pauses == ()


async def test_lost_probe_is_followed_by_another(limited: LimitedLedger) -> None:
    await limited.refuse_payment(await limited.submit())
    limited.clock.advance(MAX_PAUSE.total_seconds())
    lost = await limited.submit()
    await limited.resolve(lost, SubmissionState.LOST, Status.ACCEPTED)
    limited.clock.advance(MAX_PAUSE.total_seconds())
    later = await limited.submit()
    await limited.resolve(later, SubmissionState.CREATED, Status.TRAINING)
    await limited.submit()


async def test_later_refusal_does_not_move_the_end(limited: LimitedLedger) -> None:
    first, second = await limited.submit(), await limited.submit()
    await limited.refuse_payment(first)
    [pause] = (await limited.limits.read(GUARD)).pauses
    limited.clock.advance(5)
    await limited.refuse_payment(second)
    assert (await limited.limits.read(GUARD)).pauses == (pause,)


async def test_pause_is_that_of_one_api_key(limited: LimitedLedger) -> None:
    await limited.refuse_payment(await limited.submit())
    await limited.submit(SubmissionGuard(api_key_sha256=OTHER_KEY))
    assert (await limited.limits.read(SubmissionGuard(api_key_sha256=OTHER_KEY))).pauses == ()
    assert len((await limited.limits.read_for_all_keys(SpendLimits())).pauses) == 1


async def test_probe_is_reserved_for_one_provisioning(limited: LimitedLedger) -> None:
    await limited.refuse_payment(await limited.submit())
    chosen, other = await limited.accepted(), await limited.accepted()
    limited.clock.advance(MAX_PAUSE.total_seconds())
    await limited.limits.reserve_probe(GUARD, limited.owner.id, VIDEO)
    with pytest.raises(SubmissionPaused):
        await limited.limits.reserve_probe(GUARD, "another-owner", VIDEO)
    await limited.limits.reserve_probe(GUARD, chosen.id, VIDEO, {chosen.id, limited.owner.id})
    await limited.limits.reserve_probe(GUARD, chosen.id, VIDEO, {chosen.id, limited.owner.id})
    with pytest.raises(SubmissionPaused):
        await limited.limits.reserve_probe(GUARD, other.id, VIDEO, {other.id, limited.owner.id})
    with pytest.raises(PaymentPaused):
        await limited.ledger.begin_submission(other, limited.owner, "submitted", GUARD)
    probe = await limited.ledger.begin_submission(chosen, limited.owner, "submitted", GUARD)
    lost = await limited.resolve(probe, SubmissionState.LOST, Status.ACCEPTED)
    with pytest.raises(PaymentPaused):  # the reservation was for one submission
        await limited.ledger.begin_submission(lost, limited.owner, "submitted", GUARD)


async def test_returned_probe_is_available_at_once(limited: LimitedLedger) -> None:
    await limited.refuse_payment(await limited.submit())
    limited.clock.advance(MAX_PAUSE.total_seconds())
    await limited.limits.reserve_probe(GUARD, limited.owner.id, VIDEO)
    await limited.limits.return_probe({limited.owner.id})
    await limited.submit()


async def test_limit_may_exceed_what_the_database_stores(limited: LimitedLedger) -> None:
    limits = SpendLimits(per_day=10**20, per_batch=10**10)
    await limited.submit(SubmissionGuard(limits, KEY), BATCH)
    assert await limited.today() == 1


async def test_pause_that_stands_reserves_no_probe_of_another(limited: LimitedLedger) -> None:
    await limited.refuse_payment(await limited.submit())
    limited.clock.advance(MAX_PAUSE.total_seconds())
    await limited.limits.pause_requests(KEY, 60)
    with pytest.raises(RatePaused):
        await limited.limits.reserve_probe(GUARD, limited.owner.id, VIDEO)
    limited.clock.advance(60)
    await limited.submit()


async def test_budget_that_is_used_up_takes_no_probe(limited: LimitedLedger) -> None:
    await limited.submit()
    await limited.refuse_payment(await limited.submit())
    limited.clock.advance(MAX_PAUSE.total_seconds())
    with pytest.raises(DayBudgetUsed):
        await limited.submit(SubmissionGuard(SpendLimits(per_day=1), KEY))
    await limited.submit()


async def test_pause_of_a_clock_that_was_set_back_does_not_stand(limited: LimitedLedger) -> None:
    limited.clock.advance(timedelta(hours=2).total_seconds())
    await limited.refuse_payment(await limited.submit())
    limited.clock.step(-timedelta(hours=2).total_seconds())
    await limited.submit()
    with pytest.raises(PaymentPaused):
        await limited.submit()


async def test_rate_pause_lasts_as_long_as_argil_asks(limited: LimitedLedger) -> None:
    await limited.limits.pause_requests(KEY, 60)
    limited.clock.advance(30)
    await limited.limits.pause_requests(KEY, 5)  # a shorter one does not end it
    assert await limited.limits.requests_paused_for(KEY) == 30
    assert await limited.limits.requests_paused_for(OTHER_KEY) == 0
    with pytest.raises(RatePaused) as caught:
        await limited.submit()
    assert caught.value.retry_after_seconds == 30
    limited.clock.advance(30)
    await limited.submit()
    assert (await limited.limits.read(GUARD)).pauses == ()
    await limited.limits.pause_requests(KEY, 86_400)
    assert await limited.limits.requests_paused_for(KEY) == MAX_PAUSE.total_seconds()
