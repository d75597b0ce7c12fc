"""Lists flow runs although the Prefect API cannot return some of them.

The server answers 500 to every request whose response contains such a run, for example one with half of a surrogate
pair in its parameters. One run would otherwise hide all others. `list_runs` reads the page in parts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from logging import WARNING
from typing import TypeVar
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import DeploymentFilter, FlowFilter, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import PrefectHTTPStatusError
from pydantic import ValidationError

from services.run_log import log_to_run

INTERNAL_SERVER_ERROR = 500
"""Prefect's status for an error in its own code. It answers 503 if its database is busy or unreachable."""
REMOVAL_HINT = 'see "Remove a run that Prefect cannot return" in docs/stuck-runs.md'
MAX_REPORTED = 10
"""How many runs of one page are named in the log."""

CHUNK_SIZE = 15
"""About the square root of a page of 200, for the fewest requests. A failed one takes the server about a second."""
GIVE_UP_AFTER = 20
"""If the ids of this many runs in a row cannot be listed, the cause is not in the runs."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class RunQuery:
    """The runs to list, and their order."""

    flow_run_filter: FlowRunFilter
    sort: FlowRunSort
    limit: int
    offset: int = 0
    flow_filter: FlowFilter | None = None
    deployment_filter: DeploymentFilter | None = None


@dataclass
class RunPage:
    """The runs of one page.

    Attributes:
        runs: Those that the API returned.
        unreadable: The ids of those that it could not return.
        nameless: How many of those have an id that it could not return either.
    """

    runs: list[FlowRun]
    unreadable: list[UUID] = field(default_factory=list)
    nameless: int = 0

    @property
    def size(self) -> int:
        """The number of all runs of the page."""
        return len(self.runs) + len(self.unreadable) + self.nameless


async def list_runs(client: PrefectClient, query: RunQuery) -> RunPage:
    """Return one page of runs.

    Raises:
        httpx.HTTPError: The Prefect API does not respond.
        PrefectHTTPStatusError: It responds with an error other than 500.
    """
    try:
        return RunPage(await _read(client, query))
    except (PrefectHTTPStatusError, ValidationError) as error:
        if not is_unreadable(error):
            raise
    ids, nameless = await _list_ids(client, query)

    async def read(start: int, stop: int) -> list[FlowRun]:
        by_id = FlowRunFilter(id=FlowRunFilterId(any_=ids[start:stop]))
        return await _read(client, RunQuery(by_id, query.sort, limit=stop - start))

    runs, unreadable = await _read_parts(read, len(ids), give_up_after=len(ids) + 1)
    page = RunPage(runs, [ids[position] for position in unreadable], len(nameless))
    _report(page)
    return page


def is_unreadable(error: Exception) -> bool:
    """Return whether the error means that the API cannot return this run, or one of the objects that it names."""
    if isinstance(error, PrefectHTTPStatusError):
        return error.response.status_code == INTERNAL_SERVER_ERROR
    return isinstance(error, ValidationError)  # the client does not accept what the server returned


def _report(page: RunPage) -> None:
    for run_id in page.unreadable[:MAX_REPORTED]:
        log_to_run(
            f"the Prefect API cannot return the run %s: it is skipped; {REMOVAL_HINT}", run_id, level=WARNING
        )
    unnamed = page.nameless + len(page.unreadable[MAX_REPORTED:])
    if unnamed:
        log_to_run("the Prefect API cannot return %d more runs: they are skipped", unnamed, level=WARNING)


async def _read(client: PrefectClient, query: RunQuery) -> list[FlowRun]:
    return await client.read_flow_runs(
        flow_filter=query.flow_filter,
        flow_run_filter=query.flow_run_filter,
        deployment_filter=query.deployment_filter,
        sort=query.sort,
        limit=query.limit,
        offset=query.offset,
    )


async def _list_ids(client: PrefectClient, query: RunQuery) -> tuple[list[UUID], list[int]]:
    """Return the ids of the page, and the positions of the runs whose id cannot be returned either."""

    async def read(start: int, stop: int) -> list[UUID]:
        return await _read_ids(client, query, start, stop)

    try:
        return await read(0, query.limit), []
    except PrefectHTTPStatusError as error:
        if not is_unreadable(error):
            raise
    return await _read_parts(read, query.limit, GIVE_UP_AFTER)


async def _read_ids(client: PrefectClient, query: RunQuery, start: int, stop: int) -> list[UUID]:
    """Return ids from the route that the UI uses for its chart: its response has no text of a caller."""
    body = {
        "flow_runs": query.flow_run_filter.model_dump(mode="json"),
        "flows": query.flow_filter.model_dump(mode="json") if query.flow_filter else None,
        "deployments": query.deployment_filter.model_dump(mode="json") if query.deployment_filter else None,
        "sort": query.sort,
        "offset": query.offset + start,
        "limit": stop - start,
    }
    response = await client.request("POST", "/ui/flow_runs/history", json=body)
    return [UUID(run["id"]) for run in response.json()]


async def _read_parts(
    read: Callable[[int, int], Awaitable[Sequence[Item]]], count: int, give_up_after: int
) -> tuple[list[Item], list[int]]:
    """Read the positions from 0 to `count` in chunks, and each position of a failed chunk.

    Args:
        read: Returns the items from a first position up to, but not including, a second one.
        count: The number of positions.
        give_up_after: Raise the error if this many positions fail before one succeeds: then the server is broken.

    Returns:
        The items, and the positions that cannot be read.
    """
    items: list[Item] = []
    failed: list[int] = []
    ranges = deque(_split(0, count, CHUNK_SIZE))
    while ranges:
        start, stop = ranges.popleft()
        try:
            items += await read(start, stop)
        except (PrefectHTTPStatusError, ValidationError) as error:
            if not is_unreadable(error):
                raise
            if stop - start > 1:
                ranges.extendleft(reversed(_split(start, stop, 1)))
                continue
            failed.append(start)
            if not items and len(failed) >= give_up_after:
                raise
    return items, failed


def _split(start: int, stop: int, size: int) -> list[tuple[int, int]]:
    return [(first, min(first + size, stop)) for first in range(start, stop, size)]
