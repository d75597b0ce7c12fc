"""A ledger that lacks the past: the same manifest again continues with the avatars that Argil has of it.

Avatars of other requests stop every submission until a person decides.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from flows.engine.batch import BatchRun, process_chunk
from flows.engine.execution import InlineExecution
from flows.engine.state_machine import run_to_completion
from models.argil.unknown_avatars import UnknownAvatar
from models.errors import OperationalError, UnknownAvatars
from models.manifest.validation import ManifestRow
from models.provisioning import Status
from services.context import build_context, override_context
from services.submissions import build_create_request
from simulator.server import ArgilSimulator
from tests.provisioning_harness import (  # noqa: F401  # fixtures
    ProvisioningHarness,
    ScriptedClock,
    argil,
    changes,
    clock,
    context,
    harness,
    ledger_file,
    media,
    served_gateway,
    timing,
)

LONG = 1e6
"""Seconds, so that the trainings of one batch have not ended when the next one begins."""
pytestmark = [
    pytest.mark.parametrize("timing", [{"training_seconds": LONG}]),
    pytest.mark.parametrize("changes", [{"avatars_training_timeout_seconds": 2 * LONG}]),
]
BEFORE_BACKUP = 5
AFTER_BACKUP = 60
ROWS = BEFORE_BACKUP + AFTER_BACKUP


@dataclass(frozen=True)
class BatchEnd:
    """What a batch left."""

    counts: Counter[str]
    error: OperationalError | None
    undecided: list[UnknownAvatar]
    latest_ignored: UnknownAvatar | None

    @property
    def undecided_ids(self) -> set[str | None]:
        return {avatar.avatar_id for avatar in self.undecided}


async def run_batch(
    harness: ProvisioningHarness,  # noqa: F811
    ledger: Path,
    count: int,
    *,
    first: int = 1,
    ignore_unknown: bool = False,
) -> BatchEnd:
    """Run the rows `first` to `count` of the manifest as another process with this ledger would."""
    rows = []
    for line in range(first, count + 1):
        fields = {"name": f"Ada {line}", "reference": f"creator-{line}"}
        rows.append(
            ManifestRow(line, fields["reference"], fields["name"], harness.request.model_copy(update=fields))
        )
    url = SecretStr(f"sqlite+aiosqlite:///{ledger}")
    settings = harness.context.settings.model_copy(
        update={"avatars_database_url": url, "avatars_ignore_unknown": ignore_unknown}
    )
    async with build_context(settings, harness.context.clock) as built, override_context(built):
        batch = BatchRun(built, rows, harness.owner, timeout_seconds=0.0, concurrency=4, dry_run=False)
        await process_chunk.fn(batch, 1, len(rows))
        return BatchEnd(
            +batch.progress.counts,
            batch.abort_error,
            await built.unknown_avatars.list_undecided(1000),
            await built.unknown_avatars.latest_ignored(),
        )


def avatar_ids(argil: ArgilSimulator) -> set[str | None]:  # noqa: F811
    return {avatar["id"] for avatar in argil.account.avatars}


@pytest.mark.system
async def test_restored_ledger_submits_nothing_again(
    harness: ProvisioningHarness,  # noqa: F811
    argil: ArgilSimulator,  # noqa: F811
    ledger_file: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    await run_batch(harness, ledger_file, BEFORE_BACKUP)
    await harness.context.ledger.database.back_up(tmp_path / "backup.db")
    await run_batch(harness, ledger_file, ROWS)
    everything = avatar_ids(argil)
    assert len(everything) == ROWS
    for _ in range(2):
        end = await run_batch(harness, tmp_path / "backup.db", ROWS)
        assert (end.error, end.counts, end.undecided) == (None, {Status.TRAINING: ROWS}, [])
        assert avatar_ids(argil) == everything
    assert len(argil.account.posts) == ROWS


@pytest.mark.system
async def test_rows_of_other_requests_wait_only_for_avatars_that_no_row_has(
    harness: ProvisioningHarness,  # noqa: F811
    argil: ArgilSimulator,  # noqa: F811
    ledger_file: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    """The new rows come first, so that each finds the unknown avatars of the rows after it."""
    empty = shutil.copyfile(ledger_file, tmp_path / "empty.db")
    await run_batch(harness, ledger_file, 45, first=41)
    stopped = await run_batch(harness, empty, 44)
    assert isinstance(stopped.error, UnknownAvatars)
    assert "1 avatar " in stopped.error.message
    assert len(argil.account.posts) == 5
    end = await run_batch(harness, empty, 45)
    assert (end.error, end.counts, end.undecided) == (None, {Status.TRAINING: 45}, [])
    assert len(argil.account.posts) == 45


@pytest.mark.system
async def test_deleted_ledger_submits_nothing_again(
    harness: ProvisioningHarness,  # noqa: F811
    argil: ArgilSimulator,  # noqa: F811
    tmp_path: Path,
) -> None:
    await run_batch(harness, tmp_path / "other.db", 11)
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"other.db{suffix}").unlink(missing_ok=True)
    for _ in range(2):
        end = await run_batch(harness, tmp_path / "other.db", 40, first=12)
        assert isinstance(end.error, UnknownAvatars)
        assert end.undecided_ids == avatar_ids(argil)
    assert len(argil.account.avatars) == 11


async def test_person_who_ignores_them_continues(
    harness: ProvisioningHarness,  # noqa: F811
    argil: ArgilSimulator,  # noqa: F811
    clock: ScriptedClock,  # noqa: F811
    ledger_file: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    empty = shutil.copyfile(ledger_file, tmp_path / "empty.db")
    await run_batch(harness, ledger_file, 3)
    assert (await run_batch(harness, empty, 8, first=4)).error is not None
    asked_at = clock.now()
    ignoring = await run_batch(harness, empty, 8, first=4, ignore_unknown=True)
    assert (ignoring.error, ignoring.counts, ignoring.undecided) == (None, {Status.TRAINING: 5}, [])
    assert ignoring.latest_ignored is not None
    assert ignoring.latest_ignored.ignored_at is not None
    assert asked_at <= ignoring.latest_ignored.ignored_at <= clock.now()
    assert (await run_batch(harness, empty, 10)).error is None
    assert len(argil.account.avatars) == 3 + 10


async def test_stopped_submission_has_the_reason_and_checks_no_recording(
    harness: ProvisioningHarness,  # noqa: F811
    argil: ArgilSimulator,  # noqa: F811
) -> None:
    request = build_create_request(
        harness.request, "3f2b8c1e-5d47-4a90-9b6e-0c1d2e3f4a5b", harness.request.recordings
    )
    await harness.context.argil.create_avatar(request)
    accepted = await harness.accepted()
    try:
        await run_to_completion(accepted, harness.owner, 0.0, InlineExecution())
    except UnknownAvatars as error:
        stopped = error
    current = await harness.reload(accepted)
    assert (current.status, [reason.code for reason in current.reasons]) == (Status.ACCEPTED, [stopped.code])
    assert (current.media_facts, current.submission_count) == (None, 0)
    assert len(argil.account.posts) == 1
