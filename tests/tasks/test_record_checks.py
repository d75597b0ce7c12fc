"""How the checks of both recordings affect the provisioning."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from models.errors import MediaNotInspected, MediaUnreachable, NetworkUnavailable, StaleVersion
from models.media.rules import RULES, MediaRole
from models.provisioning import LeaseOwner, Status
from models.reason import Reason
from services.recordings.recording_checks import RecordingCheckResult
from tasks.record_checks import record_checks
from tests.provisioning_harness import LEASE_SECONDS, ProvisioningHarness, ScriptedClock

FACTS: dict[str, Any] = {"size_bytes": 1000, "etag": '"1"'}
STRICT = {"avatars_media_check": "strict"}
WARN = {"avatars_media_check": "warn"}
OFF = {"avatars_media_check": "off"}


def reason(code: str) -> Reason:
    return Reason(code=code, message=f"it is {code}", hint="fix it")


def check(role: MediaRole, *codes: str, unreachable: bool = False) -> RecordingCheckResult:
    return RecordingCheckResult(
        role=role,
        reasons=[reason(f"{role}.{code}") for code in codes],
        facts=None if unreachable else FACTS,
        unreachable=reason("media.unreachable") if unreachable else None,
    )


def both(
    dataset: tuple[str, ...] = (), consent: tuple[str, ...] = (), *, unreachable: MediaRole | None = None
) -> list[RecordingCheckResult]:
    return [
        check(MediaRole.DATASET, *dataset, unreachable=unreachable is MediaRole.DATASET),
        check(MediaRole.CONSENT, *consent, unreachable=unreachable is MediaRole.CONSENT),
    ]


@pytest.mark.parametrize("changes", [STRICT, WARN, OFF])
async def test_valid_recordings_leave_it_accepted_with_their_facts(harness: ProvisioningHarness) -> None:
    accepted = await harness.accepted()
    checked = await record_checks.fn(accepted, both(), harness.owner)
    assert checked.status is Status.ACCEPTED
    assert checked.reasons == []
    assert checked.media_facts == {"dataset": FACTS, "consent": FACTS}
    assert await harness.reload(accepted) == checked


@pytest.mark.parametrize("changes", [STRICT])
async def test_violations_reject_it_with_every_reason(harness: ProvisioningHarness) -> None:
    checks = both(("duration-too-short", "resolution-too-low"), ("duration-too-long",))
    rejected = await record_checks.fn(await harness.accepted(), checks, harness.owner)
    assert rejected.status is Status.REJECTED
    codes = ["dataset.duration-too-short", "dataset.resolution-too-low", "consent.duration-too-long"]
    assert [reason.code for reason in rejected.reasons] == codes
    assert rejected.media_facts == {"dataset": FACTS, "consent": FACTS}
    event = (await harness.events(rejected))[-1]
    assert event.to_status is Status.REJECTED
    assert all(code in event.message for code in codes)


@pytest.mark.parametrize("changes", [WARN])
async def test_warn_mode_only_records_and_logs_violations(
    harness: ProvisioningHarness, caplog: pytest.LogCaptureFixture
) -> None:
    checks = both(("duration-too-short",), ("duration-too-long",))
    checked = await record_checks.fn(await harness.accepted(), checks, harness.owner)
    assert checked.status is Status.ACCEPTED
    assert checked.reasons == []
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    for text in (warnings[0], (await harness.event_messages(checked))[-1]):
        assert "dataset.duration-too-short" in text
        assert "consent.duration-too-long" in text
        assert "AVATARS_MEDIA_CHECK=warn" in text


@pytest.mark.parametrize("changes", [STRICT, WARN, OFF])
async def test_quarantine_rejects_in_every_mode(harness: ProvisioningHarness) -> None:
    rejected = await record_checks.fn(await harness.accepted(), both((), ("quarantined",)), harness.owner)
    assert rejected.status is Status.REJECTED
    assert [reason.code for reason in rejected.reasons] == ["consent.quarantined"]


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        (STRICT, ["dataset.quarantined", "dataset.duration-too-short", "consent.duration-too-long"]),
        (WARN, ["dataset.quarantined"]),
    ],
)
async def test_media_rules_are_reasons_only_if_enforced(harness: ProvisioningHarness, codes: list[str]) -> None:
    checks = both(("quarantined", "duration-too-short"), ("duration-too-long",))
    rejected = await record_checks.fn(await harness.accepted(), checks, harness.owner)
    assert [reason.code for reason in rejected.reasons] == codes


@pytest.mark.parametrize("changes", [STRICT])
@pytest.mark.parametrize("role", [MediaRole.DATASET, MediaRole.CONSENT])
async def test_unreachable_host_is_an_operational_error(harness: ProvisioningHarness, role: MediaRole) -> None:
    accepted = await harness.accepted()
    with pytest.raises(MediaUnreachable, match=r"it is media\.unreachable") as caught:
        await record_checks.fn(accepted, both(unreachable=role), harness.owner)
    assert caught.value.hint == "fix it"
    assert await harness.reload(accepted) == accepted


@pytest.mark.parametrize("changes", [STRICT])
@pytest.mark.parametrize(
    ("codes", "error"),
    [
        (("media.not-inspected", None), MediaNotInspected),
        (("media.not-inspected", "media.not-inspected"), MediaNotInspected),
        (("media.not-inspected", "media.unreachable"), MediaUnreachable),
    ],
)
async def test_recording_that_ffmpeg_cannot_finish_is_operational(
    harness: ProvisioningHarness, codes: tuple[str | None, ...], error: type[MediaUnreachable]
) -> None:
    accepted = await harness.accepted()
    checks = [
        RecordingCheckResult(role=role, unreachable=reason(code) if code else None)
        for role, code in zip(RULES, codes, strict=True)
    ]
    with pytest.raises(MediaUnreachable) as caught:
        await record_checks.fn(accepted, checks, harness.owner)
    assert type(caught.value) is error
    assert await harness.reload(accepted) == accepted


@pytest.mark.parametrize("changes", [STRICT])
@pytest.mark.parametrize("role", [MediaRole.DATASET, MediaRole.CONSENT])
async def test_machine_without_dns_is_an_operational_error(harness: ProvisioningHarness, role: MediaRole) -> None:
    accepted = await harness.accepted()
    checks = both(unreachable=MediaRole.DATASET) if role is MediaRole.CONSENT else both()
    checks = [each for each in checks if each.role is not role]
    checks.append(RecordingCheckResult(role=role, unreachable=reason("network.unavailable")))
    with pytest.raises(NetworkUnavailable, match=r"^it is network\.unavailable$"):
        await record_checks.fn(accepted, checks, harness.owner)
    assert await harness.reload(accepted) == accepted


@pytest.mark.parametrize("changes", [WARN])
async def test_warn_mode_goes_on_without_dns(harness: ProvisioningHarness) -> None:
    checks = [RecordingCheckResult(role=role, unreachable=reason("network.unavailable")) for role in RULES]
    checked = await record_checks.fn(await harness.accepted(), checks, harness.owner)
    assert checked.status is Status.ACCEPTED
    assert "network.unavailable" in (await harness.event_messages(checked))[-1]


@pytest.mark.parametrize("changes", [STRICT])
async def test_violation_rejects_even_if_the_other_is_unreachable(
    harness: ProvisioningHarness,
) -> None:
    checks = both(("duration-too-short",), unreachable=MediaRole.CONSENT)
    rejected = await record_checks.fn(await harness.accepted(), checks, harness.owner)
    assert rejected.status is Status.REJECTED
    assert [reason.code for reason in rejected.reasons] == ["dataset.duration-too-short", "media.unreachable"]
    assert rejected.media_facts == {"dataset": FACTS, "consent": None}


@pytest.mark.parametrize("changes", [WARN])
async def test_warn_mode_only_records_an_unreachable_host(harness: ProvisioningHarness) -> None:
    checks = both(unreachable=MediaRole.DATASET)
    checked = await record_checks.fn(await harness.accepted(), checks, harness.owner)
    assert checked.status is Status.ACCEPTED
    assert "media.unreachable" in (await harness.event_messages(checked))[-1]


@pytest.mark.parametrize("changes", [STRICT])
async def test_valid_check_removes_the_previous_reason(harness: ProvisioningHarness) -> None:
    accepted = await harness.accepted()
    blocked = await harness.context.ledger.transition(
        accepted, harness.owner, "no response", reasons=[reason("media.unreachable")]
    )
    assert (await record_checks.fn(blocked, both(), harness.owner)).reasons == []


@pytest.mark.parametrize(("changes", "message"), [(STRICT, "checked"), (OFF, "off")])
async def test_event_says_whether_the_check_was_on(harness: ProvisioningHarness, message: str) -> None:
    checked = await record_checks.fn(await harness.accepted(), both(), harness.owner)
    assert message in (await harness.event_messages(checked))[-1]


@pytest.mark.parametrize("changes", [STRICT])
async def test_check_is_not_recorded_after_a_take_over(
    harness: ProvisioningHarness, clock: ScriptedClock, other_owner: LeaseOwner
) -> None:
    accepted = await harness.accepted()
    clock.advance(LEASE_SECONDS)
    await harness.context.leases.acquire(accepted.id, other_owner, harness.context.lease_duration)
    with pytest.raises(StaleVersion):
        await record_checks.fn(accepted, both(("duration-too-short",)), harness.owner)
    assert (await harness.reload(accepted)).status is Status.ACCEPTED


@pytest.mark.parametrize("changes", [STRICT, WARN])
async def test_warnings_are_logged_and_do_not_reject(
    harness: ProvisioningHarness, caplog: pytest.LogCaptureFixture
) -> None:
    warned = both()
    warned[0] = warned[0].model_copy(update={"warnings": [reason("dataset.no-audio")]})
    checked = await record_checks.fn(await harness.accepted(), warned, harness.owner)
    assert (checked.status, checked.reasons) == (Status.ACCEPTED, [])
    assert "dataset.no-audio" in (await harness.event_messages(checked))[-1]
    assert [record for record in caplog.records if record.levelno == logging.WARNING]
