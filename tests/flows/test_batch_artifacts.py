"""The artifacts and the log of a batch, without a Prefect server: what they show when the batch ends."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from flows.engine import batch_artifacts
from flows.engine.batch_artifacts import publishing_progress
from models.batch import BatchProgress
from models.manifest.manifest import parse_rows
from models.reason import Reason

URL = "https://videos.example/v.mp4"
REASON = Reason(code="consent.no-audio", message="it has no\n audio track", hint="")


class PrefectArtifacts:
    """Keeps the artifacts that the code publishes, as a Prefect server does."""

    def __init__(self) -> None:
        self.progress: tuple[float, str] | None = None
        self.updates = 0
        self.is_published = asyncio.Event()
        self.tables: list[list[dict[str, str]]] = []
        self.descriptions: list[str] = []

    async def create_progress(self, percent: float, key: str, text: str) -> UUID:  # noqa: ARG002  # Prefect's
        self.progress = (percent, text)
        self.is_published.set()
        return UUID(int=1)

    async def update_progress(self, _artifact_id: UUID, percent: float, text: str) -> None:
        self.progress = (percent, text)
        self.updates += 1

    async def create_table(self, *, key: str, table: list[dict[str, str]], description: str) -> UUID:  # noqa: ARG002
        self.tables.append(table)
        self.descriptions.append(description)
        return UUID(int=2)


@pytest.fixture
def artifacts(monkeypatch: pytest.MonkeyPatch) -> PrefectArtifacts:
    published = PrefectArtifacts()
    monkeypatch.setattr(batch_artifacts, "acreate_progress_artifact", published.create_progress)
    monkeypatch.setattr(batch_artifacts, "aupdate_progress_artifact", published.update_progress)
    monkeypatch.setattr(batch_artifacts, "acreate_table_artifact", published.create_table)
    return published


def make_progress(*, is_dry_run: bool = False) -> BatchProgress:
    rows: list[Any] = [{"name": f"row {number}", "dataset_video": URL, "consent_video": URL} for number in range(3)]
    return BatchProgress(parse_rows([*rows, {}]), started_at=100.0, is_dry_run=is_dry_run)


async def publish(progress: BatchProgress, artifacts: PrefectArtifacts, *statuses: str) -> None:
    """Publish a batch whose rows end one after the other, after the first publication."""
    async with publishing_progress(progress, "run-1", lambda: 200.0):
        await artifacts.is_published.wait()
        for number, status in enumerate(statuses):
            reasons = [] if status in {"READY", "WOULD_CREATE"} else [REASON]
            row = progress.rows[number].with_status(status, reasons)
            progress.update_row(number, row, finished=True)
        progress.ended_at = 160.0


async def test_artifact_has_the_last_state_of_an_ended_batch(artifacts: PrefectArtifacts) -> None:
    progress = make_progress()
    await publish(progress, artifacts, "READY", "REJECTED", "READY")
    assert artifacts.progress == (
        100.0,
        "4 of 4 rows finished (2 READY, 1 INVALID, 1 REJECTED); 1:00 elapsed, 0.1 rows/s",
    )
    assert (artifacts.updates, len(artifacts.tables)) == (1, 1)


async def test_artifact_of_a_stopped_batch_has_its_last_state(artifacts: PrefectArtifacts) -> None:
    await publish(make_progress(), artifacts, "READY")
    assert artifacts.progress is not None
    percent, text = artifacts.progress
    assert percent == 50.0
    assert text.startswith("2 of 4 rows finished")


async def test_artifact_has_the_limits_that_were_read_last(artifacts: PrefectArtifacts) -> None:
    progress = make_progress()
    progress.limits = ["payment: waits", "3 of 5, 2 left"]
    await publish(progress, artifacts, "READY", "READY", "READY")
    assert artifacts.progress is not None
    assert artifacts.progress[1].endswith("; payment: waits; 3 of 5, 2 left")


async def test_artifacts_name_the_credits_of_images(artifacts: PrefectArtifacts) -> None:
    rows: list[Any] = [
        {"name": f"row {number}", "image": f"https://h.example/{number}.png", "consent_video": URL}
        for number in range(3)
    ]
    await publish(
        BatchProgress(parse_rows(rows), 100.0, is_dry_run=True), artifacts, "WOULD_CREATE", "WOULD_REJECT"
    )
    assert artifacts.progress is not None
    assert "; 1 from images for 2 credits (2 each)" in artifacts.progress[1]
    assert artifacts.descriptions[0].endswith("; 1 from images for 2 credits (2 each)")


async def test_artifact_of_a_dry_run_is_a_check(artifacts: PrefectArtifacts) -> None:
    await publish(make_progress(is_dry_run=True), artifacts, "WOULD_CREATE", "WOULD_REJECT", "WOULD_CREATE")
    assert artifacts.progress is not None
    assert artifacts.progress[1].startswith("4 of 4 rows checked (2 WOULD_CREATE")


async def test_rows_with_reasons_are_logged_once_up_to_a_limit(
    artifacts: PrefectArtifacts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_artifacts, "MAX_LOGGED_ROWS", 2)
    await publish(make_progress(), artifacts, "READY", "REJECTED", "REJECTED")
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 2
    assert warnings[0].startswith("line 4, : INVALID: row.")
    assert warnings[1] == "line 2, row 1: REJECTED: consent.no-audio: it has no\\n audio track"
