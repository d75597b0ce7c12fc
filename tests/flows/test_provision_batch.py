"""The flow `provision-batch` on a real Prefect server, against the simulator: a mix of every outcome."""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
)
from prefect.client.schemas.objects import State

from flows.batch import onlooker
from flows.provision_batch import provision_batch
from models.batch import Tally
from models.clock import SystemClock
from models.errors import ArgilUnauthorized, InvalidManifest
from models.provisioning import Status
from models.settings import Settings
from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tasks.runtime import open_store

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api_url")]


class Asked:
    """Makes rows; those with files of their own may be refused without harm to the others."""

    def __init__(self, videos: MediaHost, folder: Path) -> None:
        self._videos = videos
        self._folder = folder

    def row(self, name: str, fault: str = "", *, dataset: str = "dataset.mp4", **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            "dataset_video": f"{self._videos.url(dataset)}?X-Amz-Signature=canary-signature",
            "consent_video": f"{self._videos.url('consent.mp4')}?X-Amz-Signature=canary-signature",
            "extras": {"simulator": fault} if fault else {},
            **more,
        }

    def copies(self) -> dict[str, str]:
        found = {}
        for role in ("dataset", "consent"):
            name = f"{uuid.uuid4().hex}.mp4"
            shutil.copyfile(self._folder / f"{role}.mp4", self._folder / name)
            found[f"{role}_video"] = self._videos.url(name)
        return found


@pytest.fixture
def asked(videos: MediaHost, sample_folder: Path) -> Asked:
    return Asked(videos, sample_folder)


@pytest.fixture
def tallies() -> list[Tally]:
    followed: list[Tally] = []
    onlooker.set(followed.append)
    return followed


async def run(rows: list[Any] | None = None, **words: Any) -> State:
    state: State = await provision_batch(rows=rows, return_state=True, **words)
    return state


def made(argil: ArgilSimulator) -> Counter[str]:
    return Counter(avatar["name"] for avatar in argil.world.avatars)


async def subflows(client: PrefectClient, state: State) -> list[str]:
    parents = FlowRunFilterParentFlowRunId(any_=[state.state_details.flow_run_id])
    found = await client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=parents))
    return sorted([(await client.read_flow(one.flow_id)).name for one in found])


async def test_rows_end_each_in_its_own_way_in_one_task_run_with_one_subflow_a_branch(
    simulated: ArgilSimulator, asked: Asked, tallies: list[Tally]
) -> None:
    rows = [
        *(asked.row(f"good {number}") for number in range(6)),
        *(asked.row(f"fails {number}", "fail") for number in range(4)),
        *(asked.row(f"refused {number}", "refuse", **asked.copies()) for number in range(2)),
        asked.row("invalid", "invalid"),
        asked.row("vanishes", "vanish"),
        asked.row("cut", "cut-after-create"),
        asked.row("busy", "rate-limited"),
        asked.row("short", dataset="dataset-40s.mp4"),
        asked.row(""),
        "no row",
    ]
    state = await run(rows)
    assert (state.is_failed(), state.name) == (True, "TrainingFailed")
    [tally] = tallies
    assert Counter(row.status for row in tally.rows) == {
        "READY": 8,
        "TRAINING_FAILED": 4,
        "REFUSED": 2,
        "SUBMISSION_FAILED": 1,
        "VANISHED": 1,
        "REJECTED": 1,
        "INVALID": 2,
    }
    assert tally.settled == tally.total
    assert set(made(simulated).values()) == {1}
    assert len(simulated.world.avatars) == 15
    async with get_client() as client:
        assert await subflows(client, state) == ["refused", "training-failed"]
        task_runs = await client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        )
        assert sorted(one.name for one in task_runs if "rows" in one.name) == [f"rows-1-to-{len(rows)}"]
        key = ArtifactFilterKey(like_=f"batch-%{state.state_details.flow_run_id}")
        artifacts = await client.read_artifacts(artifact_filter=ArtifactFilter(key=key))
    assert sorted(str(one.type) for one in artifacts) == ["progress", "table"]
    assert "canary" not in str([one.data for one in artifacts])


async def test_the_same_rows_again_attach_and_a_changed_row_is_a_conflict(
    simulated: ArgilSimulator, asked: Asked, tallies: list[Tally]
) -> None:
    rows = [asked.row("Ada", reference="a"), asked.row("Grace")]
    first = await run(rows)
    again = await run([*reversed(rows)])
    assert (first.name, again.name) == ("Ready", "Ready")
    assert again.is_completed()
    assert [row.id for row in tallies[1].rows] == [row.id for row in reversed(tallies[0].rows)]
    changed = await run([asked.row("Eve", reference="a"), rows[1]])
    assert (changed.is_failed(), changed.name) == (True, "Rejected")
    assert [row.status for row in tallies[2].rows] == ["INVALID", "READY"]
    assert tallies[2].rows[0].reasons[0].code == "request.reference-conflict"
    assert made(simulated) == {"Ada": 1, "Grace": 1}


async def test_a_dry_run_checks_all_and_sends_and_records_nothing(
    simulated: ArgilSimulator, asked: Asked, tallies: list[Tally]
) -> None:
    rows = [asked.row("Ada"), asked.row("short", dataset="dataset-40s.mp4"), asked.row("x" * 300)]
    state = await run(rows, dry_run=True)
    assert state.is_failed()
    assert [row.status for row in tallies[0].rows] == ["WOULD_CREATE", "WOULD_REJECT", "INVALID"]
    good = await run(rows[:1], dry_run=True)
    assert (good.is_completed(), good.name) == (True, "Checked")
    assert simulated.world.posts == []
    async with open_store(Settings.load(), SystemClock()) as (ledger, _, _):
        assert await ledger.counts() == {}


async def test_a_wrong_key_ends_the_batch_at_once_and_the_same_batch_goes_on_once_it_is_mended(
    simulated: ArgilSimulator, asked: Asked, tallies: list[Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [asked.row(f"row {number}") for number in range(30)]
    with monkeypatch.context() as patch:
        patch.setenv("ARGIL_API_KEY", "another-canary-key")
        state = await run(rows, concurrency=2)
    assert isinstance(await state.aresult(raise_on_failure=False), ArgilUnauthorized)
    assert tallies[0].counts["WAITING"] >= 20
    assert (await run(rows)).name == "Ready"
    assert len(simulated.world.avatars) == 30


async def test_a_batch_that_is_not_to_wait_ends_in_training(
    simulated: ArgilSimulator, asked: Asked, tallies: list[Tally]
) -> None:
    rows = [asked.row(f"row {number}", "never") for number in range(3)]
    state = await run(rows, wait="none")
    assert (state.is_completed(), state.name) == (True, "Training")
    assert tallies[0].counts[Status.TRAINING] == 3


@pytest.mark.usefixtures("simulated")
async def test_it_takes_either_a_manifest_or_rows() -> None:
    table: list[dict[str, Any]] = [{}, {"rows": [], "manifest": "m.csv"}, {"rows": []}, {"manifest": "/no.csv"}]
    for words in table:
        state = await run(**words)
        assert isinstance(await state.aresult(raise_on_failure=False), InvalidManifest)
