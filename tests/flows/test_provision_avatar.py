"""The flow `provision-avatar` on a real Prefect server against the simulator, from every starting status."""

from __future__ import annotations

import asyncio
import os
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
from models.provisioning import LeaseOwner, Provisioning, Status, SubmissionState
from models.reports.artifact_keys import avatar_key
from models.request import ProvisioningRequest
from models.settings import Settings
from services.store import open_store
from simulator.media_host import MediaHost
from simulator.sample_videos import copy_as_another_recording
from simulator.server import ArgilSimulator
from store.ledger import Ledger

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api_url")]


@pytest.fixture
async def ledger(simulated: ArgilSimulator) -> AsyncIterator[Ledger]:
    async with open_store(Settings.load(), SystemClock()) as store:
        yield store.ledger


def make_request(
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


async def count_avatars(ledger: Ledger, provisioning: Provisioning, argil: ArgilSimulator) -> int:
    submission_ids = {submission.id for submission in await ledger.list_submissions(provisioning.id)}
    return sum(avatar["extras"].get("submission_id") in submission_ids for avatar in argil.account.avatars)


def copy_samples(samples: Path) -> tuple[str, str]:
    """Return the names of new copies of the samples, for tests that put recordings into quarantine."""
    prefix, names = uuid.uuid4().hex, []
    for name in ("dataset.mp4", "consent.mp4"):
        copy_as_another_recording(samples / name, samples / f"{prefix}-{name}")
        names.append(f"{prefix}-{name}")
    return names[0], names[1]


MAX_CONCURRENT_RUNS = 4
"""With more concurrent runs, a Prefect server on SQLite delays each start by seconds."""

CASES = [
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


async def test_each_scenario_ends_as_expected_with_one_avatar(
    simulated: ArgilSimulator, videos: MediaHost, sample_folder: Path, ledger: Ledger
) -> None:
    dataset, consent = copy_samples(sample_folder)
    requests = [
        make_request(
            videos,
            f"case {fault}",
            fault,
            **({"dataset": dataset, "consent": consent} if fault == "refuse" else {}),
        )
        for fault, *_ in CASES
    ]
    semaphore = asyncio.Semaphore(MAX_CONCURRENT_RUNS)

    async def run_limited(request: ProvisioningRequest) -> State:
        async with semaphore:
            return await run(request)

    states = await asyncio.gather(*(run_limited(request) for request in requests))
    provisionings = [await outcome(ledger, state) for state in states]
    counts = [await count_avatars(ledger, provisioning, simulated) for provisioning in provisionings]
    results = [
        (fault, state.name, provisioning.status, count)
        for (fault, *_), state, provisioning, count in zip(CASES, states, provisionings, counts, strict=True)
    ]
    assert results == CASES


async def test_rejected_request_lists_all_reasons_and_sends_nothing(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger
) -> None:
    state = await run(make_request(videos, "short", dataset="dataset-40s.mp4", consent="consent-45s.mp4"))
    assert state.is_failed()
    assert state.name == "Rejected"
    provisioning = await outcome(ledger, state)
    assert [reason.code for reason in provisioning.reasons] == [
        "dataset.duration-too-short",
        "consent.duration-too-long",
    ]
    assert simulated.account.posts == []


async def test_refusal_runs_its_branch_and_quarantines_recordings(
    simulated: ArgilSimulator, videos: MediaHost, sample_folder: Path, ledger: Ledger
) -> None:
    dataset, consent = copy_samples(sample_folder)
    refused = await run(make_request(videos, "Eve", "refuse", dataset=dataset, consent=consent))
    assert refused.name == "Refused"
    first = await outcome(ledger, refused)
    async with get_client() as client:
        [branch] = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[refused.state_details.flow_run_id])
            )
        )
        assert (await client.read_flow(branch.flow_id)).name == "refused"
        assert branch.name == f"refused {first.id}"
    again = await run(make_request(videos, "Eve again", dataset=dataset))
    assert again.name == "Rejected"
    assert [reason.code for reason in (await outcome(ledger, again)).reasons] == ["dataset.quarantined"]
    assert len(simulated.account.posts) == 1
    assert first.reasons[0].code == "avatar.refused"


async def test_create_body_has_submission_id_in_extras(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger
) -> None:
    request = make_request(videos, "Ada")
    provisioning = await outcome(ledger, await run(request))
    [submission] = await ledger.list_submissions(provisioning.id)
    assert simulated.account.posts == [
        {
            "name": "Ada",
            "datasetVideo": {"url": request.dataset_video},
            "consentVideo": {"url": request.consent_video},
            "extras": {"submission_id": submission.id},
        }
    ]


async def test_run_is_named_after_avatar_and_publishes_artifact(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger
) -> None:
    state = await run(make_request(videos, "Ada Lovelace"))
    provisioning = await outcome(ledger, state)
    async with get_client() as client:
        flow_run = await client.read_flow_run(state.state_details.flow_run_id)  # type: ignore[arg-type]  # the state has a run
        assert flow_run.name == "Ada Lovelace"
        [artifact] = await read_artifacts(client, provisioning)
    assert isinstance(artifact, str)
    assert "# Ada Lovelace: READY" in artifact
    assert provisioning.avatar_id is not None
    assert provisioning.avatar_id in artifact
    assert "canary" not in artifact


async def read_artifacts(client: PrefectClient, provisioning: Provisioning) -> list[object]:
    key = ArtifactFilterKey(any_=[avatar_key(provisioning.name, provisioning.id)])
    return [artifact.data for artifact in await client.read_artifacts(artifact_filter=ArtifactFilter(key=key))]


async def test_same_reference_attaches_and_other_request_conflicts(
    simulated: ArgilSimulator, videos: MediaHost
) -> None:
    request = make_request(videos, "Ada", reference="creator-1")
    first, second = await run(request), await run(request)
    assert (first.name, second.name) == ("Ready", "Ready")
    assert first.message == second.message
    conflicting = await run(make_request(videos, "Grace", reference="creator-1"))
    assert isinstance(await conflicting.aresult(raise_on_failure=False), ReferenceConflict)
    assert len(simulated.account.posts) == 1


async def test_concurrent_runs_of_one_reference_share_one_avatar(
    simulated: ArgilSimulator, videos: MediaHost
) -> None:
    request = make_request(videos, "Ada", reference="creator-1")
    states = await asyncio.gather(run(request), run(request))
    assert [state.name for state in states] == ["Ready", "Ready"]
    assert len(simulated.account.avatars) == 1


async def test_wrong_key_leaves_accepted_and_resume_continues(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("ARGIL_API_KEY", "another-canary-key")
        state = await run(make_request(videos, "Ada"))
    assert isinstance(await state.aresult(raise_on_failure=False), ArgilUnauthorized)
    blocked = await outcome(ledger, state)
    assert blocked.status is Status.ACCEPTED
    assert [reason.code for reason in blocked.reasons] == ["argil.unauthorized"]
    resumed: State = await resume_provisioning(blocked.id, return_state=True)
    assert resumed.name == "Ready"
    assert len(simulated.account.avatars) == 1


async def test_timed_out_training_is_resolved_by_resume(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("AVATARS_TRAINING_TIMEOUT_SECONDS", "0.3")
        state = await run(make_request(videos, "Ada"))
    assert state.name == "TimedOut"
    provisioning = await outcome(ledger, state)
    resumed: State = await resume_provisioning(provisioning.id, return_state=True)
    assert resumed.name == "Ready"
    assert len(simulated.account.posts) == 1


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(True, id="after the POST"),
        pytest.param(False, id="before the POST", marks=pytest.mark.system),  # waits for a lease duration
    ],
)
async def test_orphaned_submission_is_looked_up_before_resending(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger, *, sent: bool
) -> None:
    """The ledger holds a submission of a crashed run; the avatar of its POST exists in one of the two cases."""
    dead = LeaseOwner(actor="dead", id="dead")
    request = make_request(videos, "Ada", reference="creator-1")
    provisioning, _ = await ledger.get_or_create(request, "creator-1", dead)
    _, submission = await ledger.begin_submission(provisioning, dead, "recorded")
    if sent:
        from services.context import app_context
        from services.submissions import build_create_request

        async with app_context() as context:
            await context.argil.create_avatar(build_create_request(request, submission.id, request.recordings))
    state = await run(request)
    assert state.name == "Ready"
    assert len(simulated.account.avatars) == 1
    states = [submission.state for submission in await ledger.list_submissions(provisioning.id)]
    assert states == ([SubmissionState.CREATED] if sent else [SubmissionState.LOST, SubmissionState.CREATED])
    messages = [event.message for event in await ledger.list_events(provisioning.id)]
    assert any("crashed after it recorded" in message for message in messages)
    assert any(("adopted" if sent else "presumed lost") in message for message in messages)


async def test_retrain_submits_again_and_ignores_failed_avatar(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVATARS_RETRAIN_LIMIT", "1")
    provisioning = await outcome(ledger, await run(make_request(videos, "Ada", "fail,error-after-create")))
    assert (provisioning.status, provisioning.retrain_count) == (Status.TRAINING_FAILED, 1)
    submissions = await ledger.list_submissions(provisioning.id)
    assert [submission.state for submission in submissions] == [SubmissionState.CREATED] * 2
    assert len({submission.avatar_id for submission in submissions}) == 2
    assert len(simulated.account.avatars) == 2


async def test_run_without_wait_ends_in_training_and_can_resume(
    simulated: ArgilSimulator, videos: MediaHost, ledger: Ledger
) -> None:
    state: State = await provision_avatar(make_request(videos, "Ada"), wait="none", return_state=True)
    assert (state.is_completed(), state.name) == (True, "Training")
    resumed: State = await resume_provisioning((await outcome(ledger, state)).id, return_state=True)
    assert resumed.name == "Ready"
    assert len(simulated.account.posts) == 1


async def test_prefect_api_has_secrets_only_in_run_parameters(
    simulated: ArgilSimulator, videos: MediaHost, clean_environment: Path
) -> None:
    from deployments.embedded.prefect_session import flush_telemetry

    faults = ["", "fail", "invalid", "cut-after-create"]
    states = await asyncio.gather(*(run(make_request(videos, f"secret {fault}", fault)) for fault in faults))
    await asyncio.to_thread(flush_telemetry)
    run_ids = [str(state.state_details.flow_run_id) for state in states]
    async with get_client() as client:
        stored = ""
        for run_id in run_ids:
            response = await client._client.get(f"/flow_runs/{run_id}")
            body = response.json()
            assert "canary-signature" in str(body.pop("parameters"))
            stored += str(body)
        for path in ("/logs/filter", "/artifacts/filter", "/task_runs/filter", "/flow_run_states/"):
            if path.endswith("filter"):
                stored += (await client._client.post(path, json={"limit": 200})).text
            else:
                for run_id in run_ids:
                    stored += (await client._client.get(path, params={"flow_run_id": run_id})).text
        stored += (await client._client.post("/events/filter", json={"limit": 50})).text
    assert "secret cut-after-create" in stored
    assert "canary" not in stored
    assert os.environ["ARGIL_API_KEY"].startswith("canary")
