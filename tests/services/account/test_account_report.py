"""The report on the account: each kind of difference, what it shows, and what an incomplete list proves."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import JSONResponse

from models.limits import PauseCause
from models.reports.account_report import AccountReport
from models.submission_ids import new_submission_id
from services.account.account_report import compare_account, describe_account
from services.submissions import build_create_request
from simulator.server import ArgilSimulator
from tests.provisioning_harness import ProvisioningHarness, SimulatorGateway

LIST = "GET", "/v1/avatars"


async def create(harness: ProvisioningHarness, name: str, extras: dict[str, str]) -> str:
    request = build_create_request(harness.request, "", harness.request.recordings)
    body = request.model_copy(update={"name": name, "extras": extras})
    return (await harness.context.argil.create_avatar(body)).id


async def report(harness: ProvisioningHarness, limit: int = 10) -> AccountReport:
    context = harness.context
    return await compare_account(context.ledger, context.uploads, await context.argil.list_account(), limit)


async def describe(harness: ProvisioningHarness) -> list[str]:
    limits = await harness.context.limits.read(harness.context.guard)
    return await describe_account(harness.context, limits)


async def test_each_kind_of_difference_is_counted_and_named(
    harness: ProvisioningHarness, argil: ArgilSimulator, gateway: SimulatorGateway
) -> None:
    known = await harness.submitted(reference="known")
    gone = await harness.submitted(reference="gone")
    accepted = await harness.accepted(reference="waiting")
    recognized = new_submission_id("waiting", accepted.request_fingerprint)
    ours = [
        await create(harness, "Grace", {"submission_id": recognized}),
        await create(harness, "Joan", {"submission_id": new_submission_id("other", "f" * 64)}),
    ]
    others = [await create(harness, "Mary", {}), await create(harness, "Rosa", {"submission_id": "4711"})]
    [submission] = await harness.submissions(known)
    extra = await create(harness, "Ada", {"submission_id": submission.id})
    await harness.context.ledger.record_duplicate(known, harness.owner, submission.id, extra, "duplicate")

    shown = [item for item in argil.account.avatars if item["id"] != gone.avatar_id]
    gateway.canned_responses[LIST] = [JSONResponse(shown)]
    found = (await report(harness)).to_json()
    assert (found["avatars"], found["is_complete"], found["has_drift"]) == (6, True, True)
    assert found["counts"] == {
        "ours_unknown": 2,
        "others_unknown": 2,
        "missing": 1,
        "duplicates": 1,
        "ignored": 0,
        "unused_uploads": 0,
    }
    by_name = {item["name"]: item for item in found["ours_unknown"]}
    assert (by_name["Grace"]["provisioning_id"], by_name["Grace"]["submission_id"]) == (accepted.id, recognized)
    assert (by_name["Joan"]["provisioning_id"], by_name["Joan"]["ignored"]) == (None, False)
    assert {item["avatar_id"] for item in found["ours_unknown"]} == set(ours)
    assert {item["avatar_id"] for item in found["others_unknown"]} == set(others)
    assert found["missing"] == [
        {"avatar_id": gone.avatar_id, "id": gone.id, "reference": "gone", "status": "TRAINING"}
    ]
    assert found["duplicates"] == [{"avatar_id": extra, "id": known.id, "reference": "known", "status": "TRAINING"}]


async def test_account_and_ledger_that_agree_have_no_drift(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    await harness.submitted()
    found = await report(harness)
    assert (found.has_drift, found.avatar_count) == (False, 1)
    assert found.describe() == ["1 avatar in the account at Argil", "no differences from the ledger"]
    assert argil.account.count("GET /avatars") == 1


async def test_ignored_avatars_are_no_drift(harness: ProvisioningHarness) -> None:
    await create(harness, "Joan", {"submission_id": new_submission_id("other", "f" * 64)})
    assert (await report(harness)).has_drift
    await harness.context.unknown_avatars.ignore_all("a person")
    found = await report(harness)
    assert (found.has_drift, found.ours.count, found.ignored_count) == (False, 1, 1)
    assert found.to_json()["ours_unknown"][0]["ignored"]


async def test_limit_bounds_the_names_and_not_the_counts(harness: ProvisioningHarness) -> None:
    for number in range(4):
        await create(harness, f"Mary {number}", {})
    found = await report(harness, limit=1)
    assert (found.others.count, len(found.others.first)) == (4, 1)


async def test_uploads_without_a_provisioning_are_counted_and_named(harness: ProvisioningHarness) -> None:
    uris = [f"s3://uploads/{digit * 64}.mp4" for digit in "abc"]
    for uri in uris:
        await harness.context.uploads.begin(uri, uri[13:77], 7, "provision (ada)")
        await harness.context.clock.sleep(1)
    await harness.context.uploads.complete(uris[1])
    await harness.accepted(dataset_video=uris[0])
    found = await report(harness, limit=1)
    document = found.to_json()
    assert (found.has_drift, document["counts"]["unused_uploads"]) == (False, 2)
    [first] = document["unused_uploads"]
    assert (first["uri"], first["size_bytes"], first["complete"]) == (uris[1], 7, True)
    assert first["created_at"].endswith("Z")
    assert "2 uploads that no provisioning names" in found.describe()
    lines = await describe(harness)
    assert "2 uploads that no provisioning names" in lines
    assert "`avatars account` names them" in lines
    assert "s3://" not in "".join(lines)


@pytest.mark.parametrize(
    "item",
    [7, {}, {"id": None, "status": "IDLE"}, {"id": "a-1"}, {"id": "a\x00", "status": "IDLE"}],
    ids=["number", "empty", "no id", "no status", "NUL"],
)
async def test_unreadable_item_is_counted(
    harness: ProvisioningHarness, gateway: SimulatorGateway, item: Any
) -> None:
    gateway.canned_responses[LIST] = [JSONResponse([item])]
    found = await report(harness)
    assert (found.avatar_count, found.unreadable_count) == (0, 1)


async def test_incomplete_list_proves_nothing_and_says_so(
    harness: ProvisioningHarness, gateway: SimulatorGateway
) -> None:
    await harness.submitted()
    gateway.canned_responses[LIST] = [JSONResponse([], headers={"x-total-count": "1"})]
    found = await report(harness)
    assert not found.to_json()["is_complete"]
    assert any("x-total-count" in line and "may exist" in line for line in found.describe())


async def test_fleet_report_has_counts_without_personal_data(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    avatar_id = await create(harness, "Mary Canary", {})
    lines = await describe(harness)
    assert "1 avatar made elsewhere and not adopted" in lines
    assert not any(text in "".join(lines) for text in ("Mary", avatar_id))
    assert argil.account.count("GET /avatars") == 1


async def test_fleet_report_names_a_failed_list(harness: ProvisioningHarness, gateway: SimulatorGateway) -> None:
    gateway.canned_responses[LIST] = [JSONResponse({"code": 401, "message": "no"}, status_code=401)]
    [line] = await describe(harness)
    assert "could not be listed" in line


async def test_fleet_report_does_not_wait_for_the_end_of_a_rate_pause(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    context = harness.context
    await context.limits.pause_requests(context.guard.api_key_sha256, 600)
    limits = await context.limits.read(context.guard)
    assert [pause.cause for pause in limits.pauses] == [PauseCause.RATE]
    [line] = await describe(harness)
    assert "limits the rate" in line
    assert argil.account.count("GET /avatars") == 0
