"""A ledger restored from before 20 creates, on both engines, with the tools and the steps of docs/backup.md."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from flows.engine.batch import BatchRun, process_chunk
from models.manifest.validation import ManifestRow
from models.provisioning import Status
from models.reports.account_report import AccountReport
from services.account.account_report import compare_account
from services.context import AppContext, build_context, override_context
from simulator.server import ArgilSimulator
from store import migrate
from store.database import Database
from tests.conftest import POSTGRESQL_URL, CreateDatabase
from tests.provisioning_harness import (  # noqa: F401  # fixtures
    ProvisioningHarness,
    argil,
    changes,
    clock,
    context,
    harness,
    ledger_file,
    list_orphaned,
    media,
    served_gateway,
    timing,
)

LONG = 1e6
"""Seconds, so that the trainings of one batch have not ended when the next one begins."""
BEFORE, WAITING, NEW = 3, 10, 10
"""Provisionings that were submitted before the backup, that waited in ACCEPTED, and that are not in it."""
REFERENCES = [f"creator-{number}" for number in range(BEFORE + WAITING + NEW)]
Restore = Callable[[], str]
T = TypeVar("T")


async def back_up_sqlite(url: str, folder: Path) -> Restore:
    database = Database(url)
    await database.back_up(folder / "backup.db")
    await database.close()

    def restore() -> str:
        ledger = Path(make_url(url).database or "")
        for suffix in ("-wal", "-shm"):
            ledger.with_name(f"{ledger.name}{suffix}").unlink(missing_ok=True)
        shutil.copyfile(folder / "backup.db", ledger)
        return url

    return restore


async def back_up_postgresql(url: str, folder: Path, create: CreateDatabase, tools: Path | None) -> Restore:
    dump = str(folder / "avatars.dump")
    run_tool(tools, "pg_dump", "--format=custom", f"--file={dump}", libpq_url(url))

    def restore() -> str:
        restored = create()
        run_tool(tools, "pg_restore", f"--dbname={libpq_url(restored)}", dump)
        return restored

    return restore


def run_tool(tools: Path | None, name: str, *arguments: str) -> None:
    """Run a PostgreSQL tool of the folder, or of PATH."""
    path = name if tools is None else str(tools / name)
    done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def libpq_url(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


class Service:
    """The service with a ledger at a URL; each call is one process."""

    def __init__(self, harness: ProvisioningHarness) -> None:  # noqa: F811
        self._context, self._owner, self._request = harness.context, harness.owner, harness.request

    async def run_batch(self, url: str, references: list[str]) -> tuple[Counter[str], object]:
        """Run the rows of these references; return the counts and the error that stopped it."""
        rows = []
        for line, reference in enumerate(references, 2):
            # Names repeat, so that they prove nothing.
            fields = {"name": f"Ada {reference[-1]}", "reference": reference}
            rows.append(ManifestRow(line, reference, fields["name"], self._request.model_copy(update=fields)))

        async def run(built: AppContext) -> tuple[Counter[str], object]:
            batch = BatchRun(built, rows, self._owner, timeout_seconds=0.0, concurrency=4, dry_run=False)
            await process_chunk.fn(batch, 1, len(rows))
            return +batch.progress.counts, batch.abort_error

        return await self._call(url, run)

    async def enqueue(self, url: str, references: list[str]) -> None:
        async def run(built: AppContext) -> None:
            for reference in references:
                fields = {"name": f"Ada {reference[-1]}", "reference": reference}
                await built.ledger.get_or_create(self._request.model_copy(update=fields), reference, self._owner)

        await self._call(url, run)

    async def reconcile(self, url: str) -> int:
        """Run one reconciliation pass; return how many avatars are unknown after it."""

        async def run(built: AppContext) -> int:
            await list_orphaned(self._owner)
            return await built.unknown_avatars.count_undecided()

        return await self._call(url, run)

    async def account(self, url: str) -> AccountReport:
        async def run(built: AppContext) -> AccountReport:
            return await compare_account(built.ledger, built.uploads, await built.argil.list_account(), 100)

        return await self._call(url, run)

    async def avatars_of(self, url: str) -> dict[str, str]:
        """Return the submission id of each avatar on record."""

        async def run(built: AppContext) -> dict[str, str]:
            found = {}
            for provisioning in await built.ledger.list_latest(None, 100):
                [submission] = await built.ledger.list_submissions(provisioning.id)
                found[provisioning.avatar_id or ""] = submission.id
            return found

        return await self._call(url, run)

    async def _call(self, url: str, run: Callable[[AppContext], Coroutine[Any, Any, T]]) -> T:
        settings = self._context.settings.model_copy(update={"avatars_database_url": SecretStr(url)})
        async with build_context(settings, self._context.clock) as built, override_context(built):
            return await run(built)


@pytest.mark.system
@pytest.mark.timeout(300)
@pytest.mark.parametrize("timing", [{"training_seconds": LONG}])
@pytest.mark.parametrize("changes", [{"avatars_training_timeout_seconds": 2 * LONG}])
async def test_restored_ledger_gets_its_avatars_back(
    harness: ProvisioningHarness,  # noqa: F811
    argil: ArgilSimulator,  # noqa: F811
    database_url: str,
    create_postgresql_database: CreateDatabase,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    is_sqlite = database_url.startswith("sqlite")
    if is_sqlite:  # the file of the fixture is in use
        database_url = f"sqlite+aiosqlite:///{tmp_path / 'service.db'}"
    database = Database(database_url)
    await asyncio.to_thread(database.create_file)
    await migrate.upgrade(database)
    await database.close()
    service = Service(harness)
    await service.run_batch(database_url, REFERENCES[:BEFORE])
    await service.enqueue(database_url, REFERENCES[BEFORE : BEFORE + WAITING])
    if is_sqlite:
        restore = await back_up_sqlite(database_url, tmp_path)
    else:
        # The tools must not be older than the server.
        tools = None if POSTGRESQL_URL else request.getfixturevalue("postgres_server").bin_path
        restore = await back_up_postgresql(database_url, tmp_path, create_postgresql_database, tools)
    everything = len(REFERENCES)
    assert await service.run_batch(database_url, REFERENCES) == ({Status.TRAINING: everything}, None)
    assert len(argil.account.posts) == everything

    url = restore()
    found = await service.account(url)
    assert (found.ours.count, found.has_drift) == (WAITING + NEW, True)
    recognized = [item for item in found.ours.first if getattr(item, "provisioning_id", None)]
    assert len(recognized) == WAITING
    assert await service.reconcile(url) == NEW
    for _ in range(2):
        assert await service.run_batch(url, REFERENCES) == ({Status.TRAINING: everything}, None)

    assert len(argil.account.posts) == everything
    after = await service.account(url)
    assert (after.avatar_count, after.has_drift) == (everything, False)
    expected = {str(item["id"]): item["extras"]["submission_id"] for item in argil.account.avatars}
    assert await service.avatars_of(url) == expected
