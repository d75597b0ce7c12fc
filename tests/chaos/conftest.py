"""Chaos: crashes, lost answers and drivers that race each other, and what the ledger promises all the same."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from store import migration
from store.database import Database
from tests.chaos.counts import KEY, LONG, TOTAL, Counts, reported


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with its tables: copying it is faster than making one."""
    path = tmp_path_factory.mktemp("chaos") / "empty.db"

    async def make() -> None:
        database = Database(f"sqlite+aiosqlite:///{path}")
        await migration.prepare(database)
        await database.close()

    asyncio.run(make())
    return path


@pytest.fixture
def new_ledger(empty_ledger: Path) -> Callable[[], Path]:
    """Put an empty ledger in the place of the last one."""
    path = empty_ledger.with_name("ledger.db")

    def new() -> Path:
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return shutil.copyfile(empty_ledger, path)

    return new


@pytest.fixture
def in_turns(empty_ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Prefect, no thread, no socket and no waiting: everything happens in turns, in this process."""
    from tests.chaos import stand_ins

    stand_ins.install(monkeypatch)


@pytest.fixture
def counts(request: pytest.FixtureRequest) -> Iterator[Counts]:
    """Count here what a test did; it travels with the test's report."""
    counted = Counts()
    yield counted
    request.node.user_properties.append((KEY, asdict(counted)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up, wherever the reports come together."""
    if report.when == "teardown":
        TOTAL.add(reported(report.user_properties))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let the long form fail where it was not enough."""
    if _tells(session.config) and TOTAL.missing and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell the counts of the long form, and why it failed where its tests did not."""
    if _tells(config):
        is_enough = not TOTAL.missing
        terminalreporter.section("chaos", green=is_enough, red=not is_enough)
        terminalreporter.line(TOTAL.told)
        if not is_enough:
            terminalreporter.line(f"chaos failed: {'; '.join(TOTAL.missing)}", red=True)


def _tells(config: pytest.Config) -> bool:
    return LONG and not hasattr(config, "workerinput")
