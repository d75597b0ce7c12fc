"""Fault-injection tests: the ledger's guarantees under crashes, lost responses and racing lease owners."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.chaos.totals import KEY, LONG_RUN, TOTAL, ChaosTotals, totals_from_properties


@pytest.fixture(scope="session")
def fresh_ledger_file(empty_ledger: Path) -> Callable[[], Path]:
    """Return a function that replaces the current ledger file with an empty ledger."""
    path = empty_ledger.with_name("ledger.db")

    def new() -> Path:
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return shutil.copyfile(empty_ledger, path)

    return new


@pytest.fixture
def deterministic(empty_ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the fakes, so that the scheduler runs everything in this process without threads or real time."""
    from tests.chaos import fakes

    fakes.install_fakes(monkeypatch)


@pytest.fixture
def totals(request: pytest.FixtureRequest) -> Iterator[ChaosTotals]:
    """The totals of one test; pytest attaches them to the test's report."""
    totals = ChaosTotals()
    yield totals
    request.node.user_properties.append((KEY, asdict(totals)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up the totals in the process that collects the reports."""
    if report.when == "teardown":
        TOTAL.add(totals_from_properties(report.user_properties))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a long run that did not reach the minimum totals."""
    if _prints_summary(session.config) and TOTAL.shortfalls and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the totals of a long run, and why it failed if all of its tests passed."""
    if _prints_summary(config):
        is_enough = not TOTAL.shortfalls
        terminalreporter.section("chaos", green=is_enough, red=not is_enough)
        terminalreporter.line(TOTAL.summary)
        if not is_enough:
            terminalreporter.line(f"chaos failed: {'; '.join(TOTAL.shortfalls)}", red=True)


def _prints_summary(config: pytest.Config) -> bool:
    return LONG_RUN and not hasattr(config, "workerinput")
