"""The flow `provision-batch` on a real Prefect server against the simulator, with a mix of outcomes."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import socket
import uuid
from collections import Counter
from collections.abc import Callable
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

from flows.engine.batch import progress_observer
from flows.provision_batch import provision_batch
from media.checker import MediaChecker
from models.batch import BatchProgress
from models.clock import SystemClock
from models.errors import ArgilPathNotFound, ArgilUnauthorized, InvalidManifest, NetworkUnavailable
from models.provisioning import Status
from models.settings import Settings
from services.context import build_context, override_context
from services.store import open_store
from simulator.media_host import MediaHost
from simulator.sample_videos import copy_as_another_recording
from simulator.server import ArgilSimulator

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api_url")]


class RowFactory:
    """Makes rows. Rows to be refused need copies of the videos: a refusal puts its videos into quarantine."""

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

    def copies(self, copy: Callable[[Path, Path], object] = copy_as_another_recording) -> dict[str, str]:
        urls = {}
        for role in ("dataset", "consent"):
            name = f"{uuid.uuid4().hex}.mp4"
            copy(self._folder / f"{role}.mp4", self._folder / name)
            urls[f"{role}_video"] = self._videos.url(name)
        return urls


@pytest.fixture
def rows_factory(videos: MediaHost, sample_folder: Path) -> RowFactory:
    return RowFactory(videos, sample_folder)


@pytest.fixture
def progresses() -> list[BatchProgress]:
    observed: list[BatchProgress] = []
    progress_observer.set(observed.append)
    return observed


async def run(rows: list[Any] | None = None, *, allow_shared_recordings: bool = True, **parameters: Any) -> State:
    """Run the flow; most batches here use the same two sample recordings in every row."""
    state: State = await provision_batch(
        rows=rows, allow_shared_recordings=allow_shared_recordings, return_state=True, **parameters
    )
    return state


def count_avatars(argil: ArgilSimulator) -> Counter[str]:
    return Counter(avatar["name"] for avatar in argil.account.avatars)


async def subflows(client: PrefectClient, state: State) -> list[str]:
    parents = FlowRunFilterParentFlowRunId(any_=[state.state_details.flow_run_id])
    runs = await client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=parents))
    return sorted([(await client.read_flow(run.flow_id)).name for run in runs])


async def test_mixed_rows_use_one_task_run_and_branch_subflows(
    simulated: ArgilSimulator, rows_factory: RowFactory, progresses: list[BatchProgress]
) -> None:
    rows = [
        *(rows_factory.row(f"good {number}") for number in range(6)),
        *(rows_factory.row(f"fails {number}", "fail") for number in range(4)),
        *(rows_factory.row(f"refused {number}", "refuse", **rows_factory.copies()) for number in range(2)),
        rows_factory.row("invalid", "invalid"),
        rows_factory.row("vanishes", "vanish"),
        rows_factory.row("cut", "cut-after-create"),
        rows_factory.row("busy", "rate-limited"),
        rows_factory.row("short", dataset="dataset-40s.mp4"),
        rows_factory.row(""),
        "no row",
    ]
    state = await run(rows)
    assert (state.is_failed(), state.name) == (True, "TrainingFailed")
    [progress] = progresses
    assert Counter(row.status for row in progress.rows) == {
        "READY": 8,
        "TRAINING_FAILED": 4,
        "REFUSED": 2,
        "SUBMISSION_FAILED": 1,
        "VANISHED": 1,
        "REJECTED": 1,
        "INVALID": 2,
    }
    async with open_store(Settings.load(), SystemClock()) as store:
        [batch] = await store.batches.list_page(9)
        counts = await store.batches.count_by_status([batch.id])
    assert batch.id == batch.flow_run_id == progress.batch_id == str(state.state_details.flow_run_id)
    assert (batch.row_count, batch.invalid_count, batch.started_by) == (len(rows), 2, "provision-batch")
    assert batch.ended_at is not None
    assert counts[batch.id] == {key: count for key, count in progress.counts.items() if count and key != "INVALID"}
    assert progress.finished == progress.total
    assert set(count_avatars(simulated).values()) == {1}
    assert len(simulated.account.avatars) == 15
    async with get_client() as client:
        # On a busy machine the window of a branch may end before its last row arrives; see test_branch_batching.py.
        assert set(await subflows(client, state)) == {"refused", "training-failed"}
        task_runs = await client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        )
        assert sorted(task_run.name for task_run in task_runs if "rows" in task_run.name) == [
            f"rows-1-to-{len(rows)}"
        ]
        key = ArtifactFilterKey(like_=f"batch-%{state.state_details.flow_run_id}")
        artifacts = await client.read_artifacts(artifact_filter=ArtifactFilter(key=key))
    assert sorted(str(artifact.type) for artifact in artifacts) == ["progress", "table"]
    assert "canary" not in str([artifact.data for artifact in artifacts])


async def test_same_rows_attach_and_changed_row_conflicts(
    simulated: ArgilSimulator, rows_factory: RowFactory, progresses: list[BatchProgress]
) -> None:
    rows = [rows_factory.row("Ada", reference="a"), rows_factory.row("Grace")]
    first = await run(rows)
    again = await run([*reversed(rows)])
    assert (first.name, again.name) == ("Ready", "Ready")
    assert again.is_completed()
    assert [row.id for row in progresses[1].rows] == [row.id for row in reversed(progresses[0].rows)]
    changed = await run([rows_factory.row("Eve", reference="a"), rows[1]])
    assert (changed.is_failed(), changed.name) == (True, "Rejected")
    assert [row.status for row in progresses[2].rows] == ["INVALID", "READY"]
    assert progresses[2].rows[0].reasons[0].code == "request.reference-conflict"
    assert count_avatars(simulated) == {"Ada": 1, "Grace": 1}
    async with open_store(Settings.load(), SystemClock()) as store:
        batches = await store.batches.list_page(9)
        counts = await store.batches.count_by_status([batch.id for batch in batches])
    ids = [progress.batch_id for progress in reversed(progresses)]
    assert [batch.id for batch in batches] == ids
    assert [batch.invalid_count for batch in batches] == [1, 0, 0]
    assert [counts[key or ""] for key in ids] == [{Status.READY: 1}, {Status.READY: 1}, {}]


async def test_dry_run_checks_all_and_records_nothing(
    simulated: ArgilSimulator, rows_factory: RowFactory, progresses: list[BatchProgress]
) -> None:
    rows = [
        rows_factory.row("Ada"),
        rows_factory.row("short", dataset="dataset-40s.mp4"),
        rows_factory.row("x" * 300),
    ]
    state = await run(rows, dry_run=True)
    assert state.is_failed()
    assert [row.status for row in progresses[0].rows] == ["WOULD_CREATE", "WOULD_REJECT", "INVALID"]
    good = await run(rows[:1], dry_run=True)
    assert (good.is_completed(), good.name) == (True, "Checked")
    assert simulated.account.posts == []
    async with open_store(Settings.load(), SystemClock()) as store:
        assert await store.ledger.count_by_status() == {}
        assert await store.batches.list_page(9) == []


async def test_wrong_key_stops_batch_and_same_batch_continues(
    simulated: ArgilSimulator,
    rows_factory: RowFactory,
    progresses: list[BatchProgress],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [rows_factory.row(f"row {number}") for number in range(16)]
    with monkeypatch.context() as patch:
        patch.setenv("ARGIL_API_KEY", "another-canary-key")
        state = await run(rows, concurrency=2)
    assert isinstance(await state.aresult(raise_on_failure=False), ArgilUnauthorized)
    assert progresses[0].counts["NOT_STARTED"] >= 6
    assert (await run(rows)).name == "Ready"
    assert len(simulated.account.avatars) == 16


class SkippingClock(SystemClock):
    """The system clock, which skips the end of each sleep: a batch waits 15 minutes for the network."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self._skipped

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))
        self._skipped += max(seconds - 0.01, 0.0)


@pytest.mark.parametrize("dry_run", [False, True])
async def test_batch_without_dns_rejects_no_row(
    simulated: ArgilSimulator, progresses: list[BatchProgress], *, dry_run: bool
) -> None:
    def no_dns(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    rows = [
        {
            "name": f"row {number}",
            "dataset_video": f"https://videos-{number}.test/dataset.mp4",
            "consent_video": f"https://videos-{number}.test/consent.mp4",
        }
        for number in range(5)
    ]
    async with build_context(Settings.load(), SkippingClock()) as context:
        with MediaChecker(resolve=no_dns, reference_host="api.argil.test") as offline:
            async with override_context(dataclasses.replace(context, media_checker=offline)):
                state = await run(rows, dry_run=dry_run)
                statuses = await context.ledger.count_by_status()
    error = await state.aresult(raise_on_failure=False)
    assert isinstance(error, NetworkUnavailable)
    assert "this machine cannot resolve host names" in error.message
    assert statuses == ({} if dry_run else {Status.ACCEPTED: 5})
    assert simulated.account.posts == []


async def test_url_without_an_api_leaves_rows_accepted(
    simulated: ArgilSimulator,
    rows_factory: RowFactory,
    progresses: list[BatchProgress],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [rows_factory.row(f"row {number}", reference=f"row-{number}") for number in range(5)]
    with monkeypatch.context() as patch:
        patch.setenv("ARGIL_API_URL", simulated.api_url.removesuffix("/v1"))
        state = await run(rows, concurrency=2)
    assert isinstance(await state.aresult(raise_on_failure=False), ArgilPathNotFound)
    assert set(progresses[0].counts) == {Status.ACCEPTED, "NOT_STARTED"}
    async with open_store(Settings.load(), SystemClock()) as store:
        recorded = await store.ledger.list_latest(None, 10)
    assert {(row.status, row.reasons[0].code) for row in recorded} == {(Status.ACCEPTED, "argil.path-not-found")}
    assert (await run(rows)).name == "Ready"
    assert len(simulated.account.avatars) == 5


async def test_batch_without_wait_ends_in_training(
    simulated: ArgilSimulator, rows_factory: RowFactory, progresses: list[BatchProgress]
) -> None:
    rows = [rows_factory.row(f"row {number}", "never") for number in range(3)]
    state = await run(rows, wait="none")
    assert (state.is_completed(), state.name) == (True, "Training")
    assert progresses[0].counts[Status.TRAINING] == 3


async def test_rows_that_share_recordings_are_refused_unless_recorded(
    simulated: ArgilSimulator, rows_factory: RowFactory, progresses: list[BatchProgress]
) -> None:
    rows = [rows_factory.row("Ada", reference="a"), rows_factory.row("Eve", reference="b")]
    refused = await run(rows, allow_shared_recordings=False)
    assert (refused.is_failed(), refused.name) == (True, "SharedRecordings")
    assert isinstance(await refused.aresult(raise_on_failure=False), InvalidManifest)
    assert "lines 1 ('a'), 2 ('b') share the dataset and consent recordings" in (refused.message or "")
    assert "canary" not in (refused.message or "")
    assert (progresses, simulated.account.posts) == ([], [])
    async with get_client() as client:
        key = ArtifactFilterKey(any_=[f"shared-recordings-{refused.state_details.flow_run_id}"])
        [artifact] = await client.read_artifacts(artifact_filter=ArtifactFilter(key=key))
    assert "lines 1 ('a'), 2 ('b') share" in str(artifact.data)
    assert "canary" not in str(artifact.data)
    assert (await run(rows)).name == "Ready"
    assert (await run(rows, allow_shared_recordings=False)).name == "Ready"
    assert len(simulated.account.posts) == 2


async def test_copy_of_a_consent_is_warned_about(
    simulated: ArgilSimulator,
    rows_factory: RowFactory,
    progresses: list[BatchProgress],
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [rows_factory.row("Ada"), rows_factory.row("Eve", **rows_factory.copies(shutil.copyfile))]
    for dry_run, name, posts in ((True, "Checked", 0), (False, "Ready", 2)):
        caplog.clear()
        assert (await run(rows, allow_shared_recordings=False, dry_run=dry_run)).name == name
        warnings = [warning for row in progresses[-1].rows for warning in row.warnings]
        assert {warning.code for warning in warnings} == {"dataset.copied", "consent.copied"}
        assert all("has the same content as one of line" in warning.message for warning in warnings)
        assert len(simulated.account.posts) == posts
    assert any("has the same content as one of line" in message for message in caplog.messages)


@pytest.mark.usefixtures("simulated")
async def test_exactly_one_of_manifest_and_rows_is_required() -> None:
    table: list[dict[str, Any]] = [{}, {"rows": [], "manifest": "m.csv"}, {"rows": []}, {"manifest": "/no.csv"}]
    for parameters in table:
        state = await run(**parameters)
        assert isinstance(await state.aresult(raise_on_failure=False), InvalidManifest)


@pytest.mark.usefixtures("simulated")
async def test_run_reads_local_manifests_in_the_configured_folder_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, progresses: list[BatchProgress]
) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (tmp_path / "secrets.csv").write_text("canary-signature\n")
    (folder / "rows.csv").write_text("name,dataset_video,consent_video\nAda,ftp://h.example/d,ftp://h.example/c\n")
    for path in (folder / "rows.csv", tmp_path / "secrets.csv"):
        assert "is a local path" in ((await run(manifest=str(path))).message or "")
    monkeypatch.setenv("AVATARS_MANIFEST_DIR", str(folder))
    assert "is not below AVATARS_MANIFEST_DIR" in ((await run(manifest="../secrets.csv")).message or "")
    (tmp_path / "secrets.csv").rename(folder / "secrets.csv")
    message = (await run(manifest="secrets.csv")).message or ""
    assert "not a column of a manifest: number 1" in message
    assert "canary" not in message
    assert (await run(manifest="rows.csv")).name == "Rejected"
    [progress] = progresses
    assert [row.name for row in progress.rows] == ["Ada"]


@pytest.mark.usefixtures("simulated")
async def test_run_reads_columns_format_and_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, progresses: list[BatchProgress]
) -> None:
    monkeypatch.setenv("AVATARS_MANIFEST_DIR", str(tmp_path))
    (tmp_path / "list").write_text("Who,Clip,Consent,Notes\nAda,ftp://h.example/d,ftp://h.example/c,x\n")
    columns = {"who": "name", "Clip": "dataset_video"}
    assert "the column 'dataset_video' is missing" in ((await run(manifest="list")).message or "")
    strict = await run(manifest="list", columns=columns, strict=True)
    assert "not a column of a manifest: 'Notes'" in (strict.message or "")
    other = await run(manifest="list", columns=columns, format="xlsx")
    assert "the spreadsheet cannot be read: it is not a workbook" in (other.message or "")
    assert progresses == []
    assert (await run(manifest="list", columns=columns, format="csv")).name == "Rejected"
    assert [row.name for row in progresses[0].rows] == ["Ada"]


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize("option", [{"columns": {"Who": "name"}}, {"format": "csv"}])
async def test_options_of_a_manifest_are_refused_for_rows(option: dict[str, Any]) -> None:
    state = await run([{"name": "Ada"}], **option)
    assert "the batch has `rows`" in (state.message or "")
