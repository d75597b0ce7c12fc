"""Runs that the Prefect API cannot return hide no others."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from prefect import flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Scheduled

from services.runs.run_listing import CHUNK_SIZE, RunQuery, _read_parts, list_runs
from services.runs.scheduled_runs import RECHECK_SECONDS, ScheduledRuns
from tests.damaged_runs import damage, delete_run


def status_error(status: int) -> PrefectHTTPStatusError:
    request = httpx.Request("POST", "http://127.0.0.1/api")
    return PrefectHTTPStatusError("failed", request=request, response=httpx.Response(status, request=request))


@dataclass
class Positions:
    """Reads positions, some of which fail, and records each request."""

    bad: Sequence[int]
    status: int = 500
    requests: list[tuple[int, int]] = field(default_factory=list)

    async def read(self, start: int, stop: int) -> list[int]:
        self.requests.append((start, stop))
        if any(start <= position < stop for position in self.bad):
            raise status_error(self.status)
        return list(range(start, stop))


@pytest.mark.parametrize("count", [0, 1, CHUNK_SIZE, 200])
@pytest.mark.parametrize("bad", [[], [0], [1, 2], [CHUNK_SIZE - 1, CHUNK_SIZE], [199], list(range(0, 200, 2))])
async def test_every_other_position_is_read_in_order(count: int, bad: list[int]) -> None:
    positions = Positions(bad)
    items, failed = await _read_parts(positions.read, count, give_up_after=200)
    assert failed == [position for position in bad if position < count]
    assert items == [position for position in range(count) if position not in bad]


async def test_one_bad_position_of_a_page_fails_twice() -> None:
    positions = Positions([100])
    await _read_parts(positions.read, 200, give_up_after=200)
    assert sum(start <= 100 < stop for start, stop in positions.requests) == 2
    assert len(positions.requests) < 30


async def test_broken_server_is_not_asked_for_each_position() -> None:
    positions = Positions(range(200))
    with pytest.raises(PrefectHTTPStatusError):
        await _read_parts(positions.read, 200, give_up_after=5)
    assert len(positions.requests) <= CHUNK_SIZE


@pytest.mark.parametrize("status", [401, 404, 422, 503])
async def test_other_errors_are_raised_at_once(status: int) -> None:
    positions = Positions([3], status)
    with pytest.raises(PrefectHTTPStatusError):
        await _read_parts(positions.read, 200, give_up_after=200)
    assert len(positions.requests) == 1


@flow
def scheduled_flow() -> None:
    pass


@dataclass
class Deployment:
    """A deployment of a real Prefect server, with runs that are due."""

    client: PrefectClient
    id: UUID
    runs: list[UUID]

    @property
    def query(self) -> RunQuery:
        by_deployment = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[self.id]))
        return RunQuery(by_deployment, FlowRunSort.EXPECTED_START_TIME_DESC, limit=200)


@pytest.fixture
async def deployment(prefect_api_url: str, clean_environment: Path) -> AsyncIterator[Deployment]:
    async with get_client() as client:
        deployment_id = await client.create_deployment(await client.create_flow(scheduled_flow), "listed")
        state: State = Scheduled(scheduled_time=datetime.now(UTC) - timedelta(seconds=5))
        runs = [(await client.create_flow_run_from_deployment(deployment_id, state=state)).id for _ in range(4)]
        yield Deployment(client, deployment_id, runs)
        for run_id in runs:
            delete_run(clean_environment / "prefect/prefect.db", run_id)
        await client.delete_deployment(deployment_id)


@pytest.mark.prefect
@pytest.mark.system
async def test_damaged_runs_are_named_and_the_others_listed(
    deployment: Deployment, clean_environment: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third, fourth = deployment.runs
    for run_id, kind in ((first, "lone-surrogate"), (third, "name-not-utf8"), (fourth, "broken-time")):
        damage(clean_environment / "prefect/prefect.db", run_id, kind)
    with caplog.at_level(logging.WARNING, "avatars"):
        page = await list_runs(deployment.client, deployment.query)
    assert [run.id for run in page.runs] == [second]
    assert (set(page.unreadable), page.nameless, page.size) == ({first, third}, 1, 4)
    assert all(str(run_id) in caplog.text for run_id in page.unreadable)
    assert "cannot return 1 more runs" in caplog.text


@pytest.mark.prefect
@pytest.mark.system
async def test_runner_leaves_a_damaged_run_out_for_a_while(
    deployment: Deployment, clean_environment: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged, *readable = deployment.runs
    damage(clean_environment / "prefect/prefect.db", damaged, "lone-surrogate")
    time = 1000.0
    requests: list[datetime] = []

    async def read(client: PrefectClient, deployment_ids: list[UUID], scheduled_before: datetime) -> list[FlowRun]:
        requests.append(scheduled_before)
        return await client.get_scheduled_flow_runs_for_deployments(deployment_ids, scheduled_before)

    runs = ScheduledRuns(read, lambda: time)
    now = datetime.now(UTC)

    async def poll() -> set[UUID]:
        return {run.id for run in await runs.poll(deployment.client, [deployment.id], now)}

    assert await poll() == set(readable)
    assert await poll() == set(readable)
    assert caplog.text.count(str(damaged)) == 1
    assert requests[0] == now
    assert requests[1] < now - timedelta(days=365)  # a request that returns no run cannot fail
    delete_run(clean_environment / "prefect/prefect.db", damaged)
    time += RECHECK_SECONDS + 1
    assert await poll() == set(readable)
    assert requests[2] == now
