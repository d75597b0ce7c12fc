"""Rows of a batch wait for the end of an outage, with few requests and one warning at each end."""

from __future__ import annotations

import asyncio
import logging

import pytest
from starlette.responses import JSONResponse

from flows.engine import outage_wait
from flows.engine.batch import BatchRun, process_chunk
from flows.engine.outage_wait import PATIENCE_SECONDS, OutageWait
from models.clock import SystemClock
from models.errors import ArgilUnreachable
from models.manifest.validation import ManifestRow
from models.provisioning import Status
from services.account.outage_log import OutageLog
from simulator.server import ArgilSimulator
from tests.fakes import FakeClock
from tests.provisioning_harness import (  # noqa: F401  # fixtures
    ProvisioningHarness,
    SimulatorGateway,
    argil,
    changes,
    context,
    gateway,
    harness,
    ledger_file,
    media,
    served_gateway,
    timing,
)

ROWS = 20
OUTAGE_SECONDS = 600.0
REFUSED = ArgilUnreachable("no connection to Argil")


class ShortClock(SystemClock):
    """The system clock, with short sleeps."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))


@pytest.fixture
def clock() -> ShortClock:
    return ShortClock()


class LateClock(FakeClock):
    """A fake clock whose time passes after all tasks have started to wait."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        await super().sleep(seconds)


class StoppedClock(FakeClock):
    """A fake clock whose sleeps end only if they are interrupted."""

    def __init__(self) -> None:
        super().__init__()
        self.began = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.began.set()
        await asyncio.Event().wait()


class Outage:
    """An Argil that refuses every row until a time of the fake clock."""

    def __init__(self, until_seconds: float, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._clock = FakeClock()
        self._until = self._clock.monotonic() + until_seconds
        self._outage = OutageWait(self._clock, OutageLog(self._clock), patience_seconds)
        self.attempts = 0

    async def run_row(self) -> float:
        """Try until Argil answers; return the time."""
        while True:
            self.attempts += 1
            if self._clock.monotonic() >= self._until:
                self._outage.end()
                return self._clock.monotonic() - self._until
            await self._outage.wait(REFUSED)


async def test_all_rows_continue_after_one_outage(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage(OUTAGE_SECONDS)
    with caplog.at_level(logging.WARNING, logger="avatars"):
        delays = await asyncio.gather(*(outage.run_row() for _ in range(ROWS)))
    assert max(delays) <= outage_wait.MAX_RETRY_SECONDS
    assert outage.attempts <= 2 * ROWS + OUTAGE_SECONDS / outage_wait.MAX_RETRY_SECONDS + 5
    assert [record.getMessage().partition(":")[0].partition(" after")[0] for record in caplog.records] == [
        "waiting for Argil, which does not answer",
        "Argil answers again",
    ]


async def test_rows_wait_once_for_the_same_retry_after() -> None:
    clock = LateClock()
    outage = OutageWait(clock, OutageLog(clock))
    waits = [outage.wait(REFUSED, OUTAGE_SECONDS) for _ in range(3)]
    assert await asyncio.gather(*waits) == [None] * 3
    assert clock.sleeps[0] == OUTAGE_SECONDS
    assert max(clock.sleeps[1:]) <= outage_wait.MAX_RETRY_SECONDS


async def test_abandoned_outage_lets_every_row_continue_at_once() -> None:
    clock = StoppedClock()
    outage = OutageWait(clock, OutageLog(clock))
    waits = [asyncio.create_task(outage.wait(REFUSED, OUTAGE_SECONDS)) for _ in range(3)]
    await clock.began.wait()
    outage.abandon()
    assert await asyncio.wait_for(asyncio.gather(*waits), 30) == [None] * 3
    assert clock.sleeps == [OUTAGE_SECONDS]


async def test_patience_of_the_batch_is_bounded() -> None:
    outage = Outage(OUTAGE_SECONDS, patience_seconds=60.0)
    results = await asyncio.gather(*(outage.run_row() for _ in range(ROWS)), return_exceptions=True)
    assert results == [REFUSED] * ROWS


@pytest.mark.parametrize(
    ("answers", "status"),
    [([], Status.TRAINING), ([{"code": 422, "message": "simulated"}] * 3, Status.SUBMISSION_FAILED)],
)
async def test_batch_continues_after_a_rate_limit(
    harness: ProvisioningHarness,  # noqa: F811
    gateway: SimulatorGateway,  # noqa: F811
    argil: ArgilSimulator,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
    answers: list[dict[str, object]],
    status: Status,
) -> None:
    busy = JSONResponse({"code": 429, "message": "simulated"}, status_code=429)
    gateway.canned_responses["POST", "/v1/avatars"] = [
        *[busy] * 8,  # more than the attempts of one submission
        *(JSONResponse(answer, status_code=422) for answer in answers),
    ]
    requests = [
        harness.request.model_copy(update={"name": f"Ada {number}", "reference": f"r-{number}"})
        for number in range(3)
    ]
    rows = [
        ManifestRow(line, request.reference or "", request.name, request)
        for line, request in enumerate(requests, 1)
    ]
    batch = BatchRun(harness.context, rows, harness.owner, timeout_seconds=0.0, concurrency=1, dry_run=False)
    with caplog.at_level(logging.WARNING, logger="avatars"):
        await process_chunk.fn(batch, 1, len(rows))
    assert [row.status for row in batch.progress.rows] == [status] * 3
    assert len(argil.account.avatars) == 3 - len(answers)
    messages = [record.getMessage() for record in caplog.records]
    assert [sum(text in message for message in messages) for text in ("waiting for Argil", "answers again")] == [
        1,
        1,
    ]
