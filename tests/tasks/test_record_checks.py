"""What the checks of both recordings lead to."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from models.errors import MediaUnreachable, StaleVersion
from models.media import MediaRole
from models.provisioning import Driver, Status
from models.reason import Reason
from tasks.check_recording import RecordingCheck
from tasks.record_checks import record_checks
from tests.tasks.conftest import LEASE_SECONDS, Desk, EventfulClock

FACTS: dict[str, Any] = {"size_bytes": 1000, "etag": '"1"'}
STRICT = {"avatars_media_check": "strict"}
WARN = {"avatars_media_check": "warn"}
OFF = {"avatars_media_check": "off"}


def reason(code: str) -> Reason:
    return Reason(code=code, message=f"it is {code}", hint="mend it")


def check(role: MediaRole, *codes: str, unreachable: bool = False) -> RecordingCheck:
    return RecordingCheck(
        role=role,
        reasons=[reason(f"{role}.{code}") for code in codes],
        facts=None if unreachable else FACTS,
        unreachable=reason("media.unreachable") if unreachable else None,
    )


def both(
    dataset: tuple[str, ...] = (), consent: tuple[str, ...] = (), *, unreachable: MediaRole | None = None
) -> list[RecordingCheck]:
    return [
        check(MediaRole.DATASET, *dataset, unreachable=unreachable is MediaRole.DATASET),
        check(MediaRole.CONSENT, *consent, unreachable=unreachable is MediaRole.CONSENT),
    ]


@pytest.mark.parametrize("changes", [STRICT, WARN, OFF])
async def test_two_good_recordings_leave_it_accepted_with_their_facts(desk: Desk) -> None:
    accepted = await desk.accepted()
    checked = await record_checks.fn(accepted, both(), desk.driver)
    assert checked.status is Status.ACCEPTED
    assert checked.reasons == []
    assert checked.media == {"dataset": FACTS, "consent": FACTS}
    assert await desk.now(accepted) == checked


@pytest.mark.parametrize("changes", [STRICT])
async def test_broken_rules_of_both_reject_it_with_every_reason(desk: Desk) -> None:
    checks = both(("too-short", "too-small"), ("too-long",))
    rejected = await record_checks.fn(await desk.accepted(), checks, desk.driver)
    assert rejected.status is Status.REJECTED
    codes = ["dataset.too-short", "dataset.too-small", "consent.too-long"]
    assert [one.code for one in rejected.reasons] == codes
    assert rejected.media == {"dataset": FACTS, "consent": FACTS}
    event = (await desk.events(rejected))[-1]
    assert event.to_status is Status.REJECTED
    assert all(code in event.why for code in codes)


@pytest.mark.parametrize("changes", [WARN])
async def test_with_warn_broken_rules_are_noted_and_told_only(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    checks = both(("too-short",), ("too-long",))
    checked = await record_checks.fn(await desk.accepted(), checks, desk.driver)
    assert checked.status is Status.ACCEPTED
    assert checked.reasons == []
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    for text in (told[0], (await desk.whys(checked))[-1]):
        assert "dataset.too-short" in text
        assert "consent.too-long" in text
        assert "AVATARS_MEDIA_CHECK=warn" in text


@pytest.mark.parametrize("changes", [STRICT, WARN, OFF])
async def test_the_quarantine_holds_in_every_mode(desk: Desk) -> None:
    rejected = await record_checks.fn(await desk.accepted(), both((), ("quarantined",)), desk.driver)
    assert rejected.status is Status.REJECTED
    assert [one.code for one in rejected.reasons] == ["consent.quarantined"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (STRICT, ["dataset.quarantined", "dataset.too-short", "consent.too-long"]),
        (WARN, ["dataset.quarantined"]),
    ],
)
async def test_beside_the_quarantine_media_rules_count_where_they_bind(desk: Desk, told: list[str]) -> None:
    checks = both(("quarantined", "too-short"), ("too-long",))
    rejected = await record_checks.fn(await desk.accepted(), checks, desk.driver)
    assert [one.code for one in rejected.reasons] == told


@pytest.mark.parametrize("changes", [STRICT])
@pytest.mark.parametrize("role", MediaRole)
async def test_a_host_without_an_answer_is_the_operators_and_no_end(desk: Desk, role: MediaRole) -> None:
    accepted = await desk.accepted()
    with pytest.raises(MediaUnreachable, match=r"it is media\.unreachable") as caught:
        await record_checks.fn(accepted, both(unreachable=role), desk.driver)
    assert caught.value.hint == "mend it"
    assert await desk.now(accepted) == accepted


@pytest.mark.parametrize("changes", [STRICT])
async def test_a_broken_rule_of_one_rejects_it_even_where_the_other_cannot_be_read(desk: Desk) -> None:
    checks = both(("too-short",), unreachable=MediaRole.CONSENT)
    rejected = await record_checks.fn(await desk.accepted(), checks, desk.driver)
    assert rejected.status is Status.REJECTED
    assert [one.code for one in rejected.reasons] == ["dataset.too-short", "media.unreachable"]
    assert rejected.media == {"dataset": FACTS, "consent": None}


@pytest.mark.parametrize("changes", [WARN])
async def test_with_warn_a_host_without_an_answer_is_noted_only(desk: Desk) -> None:
    checks = both(unreachable=MediaRole.DATASET)
    checked = await record_checks.fn(await desk.accepted(), checks, desk.driver)
    assert checked.status is Status.ACCEPTED
    assert "media.unreachable" in (await desk.whys(checked))[-1]


@pytest.mark.parametrize("changes", [STRICT])
async def test_a_good_check_takes_away_what_hindered_it_before(desk: Desk) -> None:
    accepted = await desk.accepted()
    hindered = await desk.active.ledger.record(
        accepted, desk.driver, "no answer", reasons=[reason("media.unreachable")]
    )
    assert (await record_checks.fn(hindered, both(), desk.driver)).reasons == []


@pytest.mark.parametrize(("changes", "why"), [(STRICT, "checked"), (OFF, "off")])
async def test_the_event_says_whether_anything_was_checked(desk: Desk, why: str) -> None:
    checked = await record_checks.fn(await desk.accepted(), both(), desk.driver)
    assert why in (await desk.whys(checked))[-1]


@pytest.mark.parametrize("changes", [STRICT])
async def test_who_was_overtaken_records_no_check(desk: Desk, clock: EventfulClock, other: Driver) -> None:
    accepted = await desk.accepted()
    clock.pass_(LEASE_SECONDS)
    await desk.active.leases.claim(accepted.id, other, desk.active.lease)
    with pytest.raises(StaleVersion):
        await record_checks.fn(accepted, both(("too-short",)), desk.driver)
    assert (await desk.now(accepted)).status is Status.ACCEPTED


@pytest.mark.parametrize("changes", [STRICT, WARN])
async def test_warnings_are_told_and_reject_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    warned = both()
    warned[0] = warned[0].model_copy(update={"warnings": [reason("dataset.no-audio")]})
    checked = await record_checks.fn(await desk.accepted(), warned, desk.driver)
    assert (checked.status, checked.reasons) == (Status.ACCEPTED, [])
    assert "dataset.no-audio" in (await desk.whys(checked))[-1]
    assert [record for record in caplog.records if record.levelno == logging.WARNING]
