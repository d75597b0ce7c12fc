"""Responses that are not as documented: one avatar per request, and no outcome that Argil did not report."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from models.argil.avatar import UNKNOWN_STATUS
from models.errors import ArgilPathNotFound, OperationalError, SubmissionUnresolved, UnintelligibleResponse
from models.provisioning import Provisioning, Status, SubmissionState
from simulator.responses import OTHER_AVATAR_ID
from simulator.server import ArgilSimulator
from tasks.await_training import await_training
from tests.provisioning_harness import GRACE_SECONDS, ProvisioningHarness, ScriptedClock, SimulatorGateway

POST = ("POST", "/v1/avatars")
LIST = ("GET", "/v1/avatars")
PAGE = "<html><title>Request blocked</title><p>Reference #18</p></html>"


async def submit_and_resolve(harness: ProvisioningHarness, scenario: str = "") -> Provisioning:
    submitted = await harness.submitted(scenario)
    return await harness.resolve_submission(submitted) if submitted.status is Status.SUBMITTING else submitted


@pytest.mark.parametrize("timing", [{"list_lag_seconds": 1.5 * GRACE_SECONDS}])
@pytest.mark.parametrize(
    "scenario",
    [
        "gateway-page-after-create",
        "cache-page-after-create",
        "error-in-success-after-create",
        "empty-success",
        "truncated",
        "damaged-gzip",
        "repeated-key",
        "other-avatar",
        "utf-16",
        "not-finite",
        "null-status",
        "numeric-id",
        "empty-success,null-status",
        "truncated,numeric-id",
        "cut-after-create,numeric-id",
        "cut-after-create,paged-list",
        "other-avatar,paged-list",
    ],
)
async def test_created_avatar_is_recorded_and_nothing_is_sent_again(
    harness: ProvisioningHarness, argil: ArgilSimulator, scenario: str
) -> None:
    training = await submit_and_resolve(harness, scenario)
    [avatar] = argil.account.avatars
    assert (training.status, training.avatar_id) == (Status.TRAINING, avatar["id"])
    assert await harness.states(training) == [SubmissionState.CREATED]
    assert len(argil.account.posts) == 1


async def test_status_of_a_response_without_one_is_unknown(harness: ProvisioningHarness) -> None:
    assert (await harness.submitted("null-status")).raw_status == UNKNOWN_STATUS


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("gateway-page", "502 (502 Bad Gateway Bad Gateway gateway)"),
        ("too-large-page", "413 (413 "),
        ("challenge", "403 (Just a moment... Checking your browser)"),
        ("challenge-success", "200 (Just a moment... Checking your browser)"),
    ],
)
async def test_page_leaves_it_accepted_with_its_words(
    harness: ProvisioningHarness, argil: ArgilSimulator, scenario: str, words: str
) -> None:
    submitted = await harness.submitted(scenario)
    with pytest.raises(UnintelligibleResponse):
        await harness.resolve_submission(submitted)
    current = await harness.reload(submitted)
    assert current.status is Status.ACCEPTED
    assert words in current.reasons[0].message
    assert await harness.states(current) == [SubmissionState.LOST]
    assert len(argil.account.posts) == 1
    assert (await harness.submitted_from(current)).status is Status.TRAINING
    assert len(argil.account.avatars) == 1


@pytest.mark.parametrize(
    "response",
    [
        Response(PAGE, 404, media_type="text/html"),
        Response(status_code=405),
        JSONResponse({"code": 404, "message": "Not Found"}, 404),
        JSONResponse({"code": 410, "message": "gone"}, 410),
    ],
)
async def test_missing_path_leaves_it_accepted_without_a_lookup(
    harness: ProvisioningHarness, argil: ArgilSimulator, gateway: SimulatorGateway, response: Response
) -> None:
    gateway.canned_responses[POST] = [response]
    accepted = await harness.accepted()
    with pytest.raises(ArgilPathNotFound):
        await harness.submitted_from(accepted)
    current = await harness.reload(accepted)
    assert (current.status, current.reasons[0].code) == (Status.ACCEPTED, "argil.path-not-found")
    assert await harness.states(current) == [SubmissionState.NOT_CREATED]
    assert argil.account.count("GET /avatars") == 0


async def test_error_in_a_success_is_a_rejection_if_no_avatar_exists(
    harness: ProvisioningHarness, argil: ArgilSimulator
) -> None:
    failed = await submit_and_resolve(harness, "error-in-success")
    [submission] = await harness.submissions(failed)
    assert failed.status is Status.SUBMISSION_FAILED
    assert "datasetVideo could not be read" in failed.reasons[0].message
    assert (submission.state, submission.http_status) == (SubmissionState.NOT_CREATED, 200)
    assert submission.response == {"code": 400, "message": "datasetVideo could not be read"}
    assert len(argil.account.posts) == 1


@pytest.mark.parametrize(
    "listed",
    [
        JSONResponse([], headers={"x-total-count": "7"}),
        JSONResponse({"data": []}),
        JSONResponse([None]),
        JSONResponse([], 206),
        JSONResponse([{"id": "a-7", "name": "Ada"}]),
    ],
)
async def test_list_that_proves_nothing_sends_nothing_again(
    harness: ProvisioningHarness, argil: ArgilSimulator, gateway: SimulatorGateway, listed: Response
) -> None:
    unknown = await harness.submitted("cut-before-create")
    gateway.canned_responses[LIST] = [listed] * 100
    with pytest.raises(SubmissionUnresolved) as caught:
        await harness.resolve_submission(unknown)
    assert await harness.reload(unknown) == unknown
    assert "avatars resume" in caught.value.hint
    gateway.canned_responses.clear()
    assert (await harness.resolve_submission(unknown)).status is Status.ACCEPTED
    assert len(argil.account.posts) == 1


async def test_confirmed_avatar_that_is_not_listed_is_never_sent_again(
    harness: ProvisioningHarness, argil: ArgilSimulator, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    unknown = await harness.submitted("numeric-id")
    gateway.canned_responses[LIST] = [Response("[]", media_type="application/json")] * 100
    clock.advance(3600)
    with pytest.raises(SubmissionUnresolved, match="does not list the avatar"):
        await harness.resolve_submission(unknown)
    gateway.canned_responses.clear()
    adopted = await harness.resolve_submission(unknown)
    assert adopted.avatar_id == argil.account.avatars[0]["id"]
    assert len(argil.account.posts) == 1


@pytest.mark.parametrize("scenario", ["other-polls", "gateway-polls"])
async def test_poll_of_another_avatar_or_page_ends_nothing(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, scenario: str
) -> None:
    started_at = clock.now()
    training, _ = await await_training.fn(await harness.submitted(scenario), harness.owner, None)
    assert training.raw_status == "IDLE"
    assert training.avatar_snapshot == argil.account.avatars[0]
    assert (clock.now() - started_at).total_seconds() >= 100
    assert OTHER_AVATAR_ID not in json.dumps(training.avatar_snapshot)


async def test_poll_with_another_submission_id_ends_nothing(
    harness: ProvisioningHarness, gateway: SimulatorGateway, clock: ScriptedClock
) -> None:
    submitted = await harness.submitted()
    ready: dict[str, Any] = {"id": submitted.avatar_id, "status": "IDLE", "extras": {"submission_id": "another"}}
    gateway.canned_responses["GET", f"/v1/avatars/{submitted.avatar_id}"] = [JSONResponse(ready)]
    started_at = clock.now()
    training, _ = await await_training.fn(submitted, harness.owner, None)
    assert training.avatar_snapshot != ready
    assert (clock.now() - started_at).total_seconds() >= 100


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
async def test_words_of_a_page_are_stored_without_secrets(
    harness: ProvisioningHarness, gateway: SimulatorGateway, encoding: str
) -> None:
    url = "https://videos.example/ada/dataset.mp4?X-Amz-Signature=canary-signature"
    split = url.replace("?", "?<wbr>") + "&<wbr>Policy=canary-policy"
    page = f"{PAGE} {url} canary-key {split} {url.replace('=', '<b>=</b>')}"
    gateway.canned_responses[POST] = [Response(page.encode(encoding), 403, media_type="text/html")]
    submitted = await harness.submitted()
    with pytest.raises(OperationalError):
        await harness.resolve_submission(submitted)
    current = await harness.reload(submitted)
    stored = [*await harness.events(current), *await harness.submissions(current), *current.reasons]
    text = "".join(record.model_dump_json() for record in stored)
    assert "Request blocked Reference #18" in text
    assert "canary" not in text
