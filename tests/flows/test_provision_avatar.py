"""The flows on a real Prefect server, against the simulator: every branch, from the top and from the middle."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
)
from prefect.client.schemas.objects import State

from flows.provision_avatar import provision_avatar
from flows.resume_provisioning import resume_provisioning
from models.clock import SystemClock
from models.errors import ArgilUnauthorized, ReferenceConflict
from models.provisioning import Driver, Provisioning, Status, SubmissionState
from models.request import ProvisioningRequest
from models.settings import Settings
from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from store.provisionings import Ledger
from tasks.runtime import open_store

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api_url")]


@pytest.fixture
async def ledger(simulated: ArgilSimulator) -> AsyncIterator[Ledger]:
    async with open_store(Settings.load(), SystemClock()) as (opened, _, _):
        yield opened


def asked(
    videos: MediaHost,
    name: str,
    fault: str = "",
    *,
    dataset: str = "dataset.mp4",
    consent: str = "consent.mp4",
    reference: str | None = None,
) -> ProvisioningRequest:
    return ProvisioningRequest(
        name=name,
        dataset_video=f"{videos.url(dataset)}?X-Amz-Signature=canary-signature",
        consent_video=f"{videos.url(consent)}?X-Amz-Signature=canary-signature",
        extras={"simulator": fault} if fault else {},
        reference=reference,
    )


async def run(request: ProvisioningRequest) -> State:
    state: State = await provision_avatar(request, return_state=True)
    return state


async def outcome(ledger: Ledger, state: State) -> Provisioning:
    return await ledger.get(str(state.state_details.flow_run_id))


async def avatars_of(ledger: Ledger, provisioning: Provisioning, argil: ArgilSimulator) -> int:
    ours = {submission.id for submission in await ledger.submissions(provisioning.id)}
    return sum(avatar["extras"].get("submission_id") in ours for avatar in argil.world.avatars)


def own_copies(samples: Path) -> tuple[str, str]:
    """Files that nothing else uses: a refusal puts them into quarantine."""
    prefix, names = uuid.uuid4().hex, []
    for name in ("dataset.mp4", "consent.mp4"):
        shutil.copyfile(samples / name, samples / f"{prefix}-{name}")
        names.append(f"{prefix}-{name}")
    return names[0], names[1]


AT_ONCE = 4
"""Prefect's server on SQLite makes more that begin at once wait for seconds."""

CASES = [
    ("never", "TimedOut", Status.TIMED_OUT, 1),
    ("", "Ready", Status.READY, 1),
    ("fail", "TrainingFailed", Status.TRAINING_FAILED, 1),
    ("refuse", "Refused", Status.REFUSED, 1),
    ("unavailable", "Ready", Status.READY, 1),
    ("rate-limited", "Ready", Status.READY, 1),
    ("cut-after-create", "Ready", Status.READY, 1),
    ("cut-before-create", "Ready", Status.READY, 1),
    ("error-after-create", "Ready", Status.READY, 1),
    ("garbled", "Ready", Status.READY, 1),
    ("cut-after-create,list-lag", "Ready", Status.READY, 1),
    ("late-get", "Ready", Status.READY, 1),
    ("flaky-polls", "Ready", Status.READY, 1),
    ("unknown-status", "Ready", Status.READY, 1),
    ("invalid", "SubmissionFailed", Status.SUBMISSION_FAILED, 0),
    ("vanish", "Vanished", Status.VANISHED, 1),
]


async def test_every_way_a_provisioning_can_go_ends_by_name_with_one_avatar_at_most(
    simulated: ArgilSimulator,
    videos: MediaHost,
    sample_folder: Path,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AVATARS_TRAINING_TIMEOUT_SECONDS", "20")
    dataset, consent = own_copies(sample_folder)
    requests = [
        asked(
            videos,
            f"case {fault}",
            fault,
            **({"dataset": dataset, "consent": consent} if fault == "refuse" else {}),
        )
        for fault, *_ in CASES
    ]
    turn = asyncio.Semaphore(AT_ONCE)

    async def run_in_turn(request: ProvisioningRequest) -> State:
        async with turn:
            return await run(request)

    states = await asyncio.gather(*(run_in_turn(request) for request in requests))
    found = [await outcome(ledger, state) for state in states]
    made = [await avatars_of(ledger, one, simulated) for one in found]
    seen = [
        (fault, state.name, one.status, count)
        for (fault, *_), state, one, count in zip(CASES, states, found, made, strict=True)
    ]
    assert seen == CASES


async def test_rejected_inputs_are_told_with_all_their_reasons_and_nothing_is_sent(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger
) -> None:
    state = await run(asked(videos, "short", dataset="dataset-40s.mp4", consent="consent-45s.mp4"))
    assert state.is_failed()
    assert state.name == "Rejected"
    found = await outcome(ledger, state)
    assert [reason.code for reason in found.reasons] == ["dataset.too-short", "consent.too-long"]
    assert simulated.world.posts == []


async def test_a_refusal_takes_its_branch_and_keeps_its_recordings_out_from_then_on(
    simulated: ArgilSimulator, videos: MediaHost, sample_folder: Path, ledger: Ledger
) -> None:
    dataset, consent = own_copies(sample_folder)
    refused = await run(asked(videos, "Eve", "refuse", dataset=dataset, consent=consent))
    assert refused.name == "Refused"
    first = await outcome(ledger, refused)
    async with get_client() as client:
        [branch] = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[refused.state_details.flow_run_id])
            )
        )
        assert (await client.read_flow(branch.flow_id)).name == "refused"
    again = await run(asked(videos, "Eve again", dataset=dataset))
    assert again.name == "Rejected"
    assert [reason.code for reason in (await outcome(ledger, again)).reasons] == ["dataset.quarantined"]
    assert len(simulated.world.posts) == 1
    assert first.reasons[0].code == "avatar.refused"


async def test_the_body_of_the_post_is_the_seeds_with_our_key_in_extras(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger
) -> None:
    request = asked(videos, "Ada")
    found = await outcome(ledger, await run(request))
    [submission] = await ledger.submissions(found.id)
    assert simulated.world.posts == [
        {
            "name": "Ada",
            "datasetVideo": {"url": request.dataset_video},
            "consentVideo": {"url": request.consent_video},
            "extras": {"submission_id": submission.id},
        }
    ]


async def test_a_run_is_named_after_its_avatar_and_publishes_its_artifact(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger
) -> None:
    state = await run(asked(videos, "Ada Lovelace"))
    found = await outcome(ledger, state)
    async with get_client() as client:
        flow_run = await client.read_flow_run(state.state_details.flow_run_id)  # type: ignore[arg-type]  # it ran
        assert flow_run.name == "Ada Lovelace"
        [artifact] = await artifacts_of(client, found)
    assert isinstance(artifact, str)
    assert "# Ada Lovelace: READY" in artifact
    assert found.avatar_id is not None
    assert found.avatar_id in artifact
    assert "canary" not in artifact


async def artifacts_of(client: PrefectClient, provisioning: Provisioning) -> list[object]:
    key = ArtifactFilterKey(any_=[f"avatar-{provisioning.id}"])
    return [found.data for found in await client.read_artifacts(artifact_filter=ArtifactFilter(key=key))]


async def test_the_same_reference_attaches_and_another_request_is_a_conflict(
    simulated: ArgilSimulator, videos: MediaHost
) -> None:
    request = asked(videos, "Ada", reference="creator-1")
    first, second = await run(request), await run(request)
    assert (first.name, second.name) == ("Ready", "Ready")
    assert first.message == second.message
    other = await run(asked(videos, "Grace", reference="creator-1"))
    assert isinstance(await other.aresult(raise_on_failure=False), ReferenceConflict)
    assert len(simulated.world.posts) == 1


async def test_two_runs_of_one_reference_at_once_make_one_avatar_and_both_tell_it(
    simulated: ArgilSimulator, videos: MediaHost
) -> None:
    request = asked(videos, "Ada", reference="creator-1")
    states = await asyncio.gather(run(request), run(request))
    assert [state.name for state in states] == ["Ready", "Ready"]
    assert len(simulated.world.avatars) == 1


async def test_a_wrong_key_leaves_it_accepted_with_the_reason_and_resume_goes_on(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("ARGIL_API_KEY", "another-canary-key")
        state = await run(asked(videos, "Ada"))
    assert isinstance(await state.aresult(raise_on_failure=False), ArgilUnauthorized)
    stopped = await outcome(ledger, state)
    assert stopped.status is Status.ACCEPTED
    assert [reason.code for reason in stopped.reasons] == ["argil.unauthorized"]
    resumed: State = await resume_provisioning(stopped.id, return_state=True)
    assert resumed.name == "Ready"
    assert len(simulated.world.avatars) == 1


async def test_a_timed_out_training_is_settled_by_a_later_look(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("AVATARS_TRAINING_TIMEOUT_SECONDS", "0.3")
        state = await run(asked(videos, "Ada"))
    assert state.name == "TimedOut"
    found = await outcome(ledger, state)
    resumed: State = await resume_provisioning(found.id, return_state=True)
    assert resumed.name == "Ready"
    assert len(simulated.world.posts) == 1


@pytest.mark.parametrize("sent", [True, False], ids=["after the POST", "before the POST"])
async def test_what_a_driver_that_died_left_in_submitting_is_looked_up_before_anything_is_sent(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger, *, sent: bool
) -> None:
    """The dead driver is played by its traces: a recorded submission and, or not, the avatar of its POST."""
    dead = Driver(actor="dead", id="dead")
    request = asked(videos, "Ada", reference="creator-1")
    opened, _ = await ledger.open(request, "creator-1", dead)
    _, submission = await ledger.begin_submission(opened, dead, "recorded")
    if sent:
        from tasks.runtime import runtime
        from tasks.submit_avatar import create_request

        async with runtime() as active:
            await active.argil.create(create_request(request, submission.id))
    state = await run(request)
    assert state.name == "Ready"
    assert len(simulated.world.avatars) == 1
    states = [one.state for one in await ledger.submissions(opened.id)]
    assert states == ([SubmissionState.TAKEN] if sent else [SubmissionState.LOST, SubmissionState.TAKEN])
    whys = [event.why for event in await ledger.events(opened.id)]
    assert any("driver died" in why for why in whys)
    assert any(("adopted" if sent else "taken for lost") in why for why in whys)


async def test_a_retrain_is_submitted_anew_and_its_failed_avatar_is_not_adopted(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVATARS_RETRAIN_LIMIT", "1")
    found = await outcome(ledger, await run(asked(videos, "Ada", "fail,error-after-create")))
    assert (found.status, found.retrains) == (Status.TRAINING_FAILED, 1)
    submissions = await ledger.submissions(found.id)
    assert [one.state for one in submissions] == [SubmissionState.TAKEN] * 2
    assert len({one.avatar_id for one in submissions}) == 2
    assert len(simulated.world.avatars) == 2


async def test_a_run_that_is_not_to_wait_ends_in_training_and_resume_sees_it_through(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger
) -> None:
    state: State = await provision_avatar(asked(videos, "Ada"), wait="none", return_state=True)
    assert (state.is_completed(), state.name) == (True, "Training")
    resumed: State = await resume_provisioning((await outcome(ledger, state)).id, return_state=True)
    assert resumed.name == "Ready"
    assert len(simulated.world.posts) == 1


async def test_no_secret_reaches_prefects_api_but_the_requests_own_parameters(
    simulated: ArgilSimulator, videos: MediaHost, clean_environment: Path
) -> None:
    from deployments.prefect_api import send_what_waits

    faults = ["", "fail", "invalid", "cut-after-create"]
    states = await asyncio.gather(*(run(asked(videos, f"secret {fault}", fault)) for fault in faults))
    await asyncio.to_thread(send_what_waits)
    run_ids = [str(state.state_details.flow_run_id) for state in states]
    async with get_client() as client:
        told = ""
        for run_id in run_ids:
            response = await client._client.get(f"/flow_runs/{run_id}")
            body = response.json()
            assert "canary-signature" in str(body.pop("parameters"))
            told += str(body)
        for path in ("/logs/filter", "/artifacts/filter", "/task_runs/filter", "/flow_run_states/"):
            if path.endswith("filter"):
                told += (await client._client.post(path, json={"limit": 200})).text
            else:
                for run_id in run_ids:
                    told += (await client._client.get(path, params={"flow_run_id": run_id})).text
        told += (await client._client.post("/events/filter", json={"limit": 50})).text
    assert "secret cut-after-create" in told
    assert "canary" not in told
    assert os.environ["ARGIL_API_KEY"].startswith("canary")
