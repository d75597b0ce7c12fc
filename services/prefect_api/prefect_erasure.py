"""Deletes or changes what services/prefect_api/prefect_search.py found of a person, as far as Prefect's API can.

Prefect emits an event when the last artifact of a key is deleted, with the data of that artifact. So artifacts are
emptied first. They are changed without the method of Prefect's client, which would emit the new data as an event.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterId, LogFilter, LogFilterFlowRunId
from prefect.exceptions import ObjectNotFound

from models.clock import Clock
from models.privacy.artifact_erasure import erase_in_artifact
from models.privacy.data_subject import DataSubject
from models.privacy.erasure import ERASED_PLACEHOLDER
from models.privacy.prefect_traces import FINAL_STATE_TYPES, PrefectTraces, Relation, own_requests, trace_requests
from models.privacy.written_requests import erase_requests
from services.prefect_api.avatar_artifacts import change_artifact, remove_artifact
from services.prefect_api.prefect_search import PAGE_SIZE, PrefectSearch, recorded_references, to_record
from store.ledger import Ledger

Item = TypeVar("Item")

LOG_DELETION_SECONDS = 30.0
"""How long to wait for the logs of deleted runs: the server deletes them in the background."""
LOG_POLL_SECONDS = 0.5


async def search_prefect(
    ledger: Ledger, subject: DataSubject, on_progress: Callable[[str], None]
) -> tuple[PrefectTraces, DataSubject]:
    """Return what Prefect holds of a person, and the person with the names and URLs found; nothing is changed.

    Raises:
        DatabaseError: The ledger cannot be read.
        httpx.HTTPError: The Prefect API does not respond.
    """
    async with get_client() as client:
        search = PrefectSearch(client, ledger, subject, on_progress)
        return await search.run(), search.subject


async def erase_in_prefect(
    ledger: Ledger, clock: Clock, subject: DataSubject, on_progress: Callable[[str], None]
) -> tuple[PrefectTraces, PrefectTraces, DataSubject]:
    """Delete and change what can be, then search again. An interrupted erasure can be repeated.

    Returns:
        What was found, what remains, and the person with the names and URLs found.

    Raises:
        DatabaseError: The ledger cannot be read.
        httpx.HTTPError: The Prefect API does not respond.
    """
    async with get_client() as client:
        search = PrefectSearch(client, ledger, subject, on_progress)
        found = await search.run()
        erasure = _PrefectErasure(client, ledger, search.subject)
        await erasure.erase_artifacts(found.own_artifacts, found.shared_artifacts)
        for run_id in found.run_ids(Relation.SHARED):
            await erasure.erase_parameters(UUID(run_id))
        own_runs = [UUID(run_id) for run_id in found.run_ids(Relation.OWN)]
        for own_run in own_runs:
            with contextlib.suppress(ObjectNotFound):  # a second erasure or the server's own clean-up deleted it
                await client.delete_flow_run(own_run)
        logs = await erasure.wait_for_log_deletion(own_runs, clock)
        remaining = await PrefectSearch(client, ledger, search.subject, on_progress).run()
    events = {"event_count": found.event_count, "events_until": found.events_until}
    # Once its row is erased, a batch may be classified as one of other people, but its logs are the same.
    logs_of_runs = sorted({*found.logs_of_runs, *remaining.logs_of_runs, *map(str, logs)})
    remaining = remaining.model_copy(update={**events, "logs_of_runs": logs_of_runs})
    return found, remaining, search.subject


class _PrefectErasure:
    """Changes and deletes objects. Every method raises httpx.HTTPError if the Prefect API does not respond."""

    def __init__(self, client: PrefectClient, ledger: Ledger, subject: DataSubject) -> None:
        self._client = client
        self._ledger = ledger
        self._subject = subject

    async def erase_artifacts(self, own: Sequence[str], shared: Sequence[str]) -> None:
        """Empty and delete the person's own artifacts, and replace their rows in shared ones."""
        changes = {"data": ERASED_PLACEHOLDER, "description": ERASED_PLACEHOLDER}
        for artifact_id in own:  # all of them first: deleting one of a key emits an event with the data of another
            await change_artifact(self._client, UUID(artifact_id), changes)
        for artifact_id in own:
            await remove_artifact(self._client, UUID(artifact_id))
        for ids in _pages(shared):
            wanted = ArtifactFilter(id=ArtifactFilterId(any_=[UUID(artifact_id) for artifact_id in ids]))
            for artifact in await self._client.read_artifacts(artifact_filter=wanted, limit=PAGE_SIZE):
                data = erase_in_artifact(artifact.data, self._subject)
                await change_artifact(self._client, artifact.id, {"data": data})

    async def erase_parameters(self, run_id: UUID) -> None:
        """Replace the person's requests in the parameters of a run that has ended."""
        try:
            flow_run = await self._client.read_flow_run(run_id)
        except ObjectNotFound:
            return
        flow = await self._client.read_flow(flow_run.flow_id)
        run = to_record(flow_run, flow.name)
        if run.state_type not in FINAL_STATE_TYPES:  # it was started again since the search
            return
        requests = trace_requests(run, self._subject)
        recorded = await recorded_references(self._ledger, requests)
        own = {id(fields) for fields in own_requests(requests, recorded)}
        if own:
            await self._client.update_flow_run(run_id, parameters=erase_requests(run.parameters, own))

    async def wait_for_log_deletion(self, run_ids: Sequence[UUID], clock: Clock) -> list[UUID]:
        """Return the deleted runs whose logs are still there after LOG_DELETION_SECONDS."""
        deadline = clock.monotonic() + LOG_DELETION_SECONDS
        while remaining := await self._runs_with_logs(run_ids):
            if clock.monotonic() > deadline:
                return remaining
            await clock.sleep(LOG_POLL_SECONDS)
        return []

    async def _runs_with_logs(self, run_ids: Sequence[UUID]) -> list[UUID]:
        found: set[UUID] = set()
        for ids in _pages(run_ids):
            logs = await self._client.read_logs(
                LogFilter(flow_run_id=LogFilterFlowRunId(any_=list(ids))), limit=PAGE_SIZE
            )
            found.update(log.flow_run_id for log in logs if log.flow_run_id is not None)
        return sorted(found)


def _pages(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[start : start + PAGE_SIZE] for start in range(0, len(items), PAGE_SIZE))
