"""Finds everything that Prefect holds of a person, page by page.

models/privacy/prefect_traces.py decides what counts.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowFilter, FlowFilterId, LogFilter, LogFilterTextSearch
from prefect.client.schemas.objects import FlowRun, Variable
from prefect.client.schemas.sorting import ArtifactSort, FlowRunSort
from prefect.events.filters import EventAnyResourceFilter, EventFilter
from prefect.exceptions import ObjectNotFound
from pydantic import TypeAdapter

from models.privacy.artifact_erasure import (
    erase_in_artifact,
    has_namesake,
    is_mentioned_in_artifact,
    is_our_artifact,
    is_own_artifact,
)
from models.privacy.data_subject import DataSubject, TracedRequest
from models.privacy.prefect_traces import (
    ANONYMOUS_FLOWS,
    SINGLE_PROVISIONING_FLOWS,
    PrefectTraces,
    Relation,
    RunRecord,
    TracedRun,
    classify_run,
    is_mentioned_in,
    other_references,
    own_requests,
    trace_requests,
)
from services.prefect_api.events import RESOURCE_PREFIX
from store.ledger import Ledger

PAGE_SIZE = 200
"""Objects per request: the most that Prefect's API allows."""
PROGRESS_PAGES = 25
"""A long search reports its progress after this many pages."""
RESOURCES_PER_QUERY = 100
"""Resources per query of events."""
MAX_QUERY_CHARACTERS = 200
"""The longest text for which Prefect searches logs."""
MIN_QUERY_BYTES = 3
"""A shorter name is not searched in logs: nearly every log contains it."""

Item = TypeVar("Item")


class PrefectSearch:
    """One search. `subject` includes the names and URLs that it has found so far."""

    def __init__(
        self, client: PrefectClient, ledger: Ledger, subject: DataSubject, on_progress: Callable[[str], None]
    ) -> None:
        """Prepare a search; `on_progress` receives a message after each PROGRESS_PAGES pages."""
        self._client = client
        self._ledger = ledger
        self._on_progress = on_progress
        self.subject = subject
        self._runs: dict[str, TracedRun] = {}
        self._labelled_runs: set[str] = set()
        self._flow_names: dict[UUID, str] = {}

    async def run(self) -> PrefectTraces:
        """Search flow runs, artifacts, logs, states, other objects and events.

        Raises:
            DatabaseError: The ledger cannot be read.
            httpx.HTTPError: The Prefect API does not respond.
        """
        await self._search_runs()
        own_artifacts, shared_artifacts, others = await self._search_artifacts()
        logs_of_runs = await self._search_logs()
        others += await self._search_others()
        event_count, events_until = await self._count_events([*own_artifacts, *shared_artifacts], logs_of_runs)
        return PrefectTraces(
            runs=list(self._runs.values()),
            own_artifacts=own_artifacts,
            shared_artifacts=shared_artifacts,
            logs_of_runs=logs_of_runs,
            others=others,
            event_count=event_count,
            events_until=events_until,
        )

    async def _search_runs(self) -> None:
        async for flow in self._pages(
            lambda offset: self._client.read_flows(limit=PAGE_SIZE, offset=offset), "flows"
        ):
            self._flow_names[flow.id] = flow.name
        ids = [flow_id for flow_id, name in self._flow_names.items() if name not in ANONYMOUS_FLOWS]
        if not ids:
            return

        def read(offset: int) -> Awaitable[list[FlowRun]]:
            return self._client.read_flow_runs(
                flow_filter=FlowFilter(id=FlowFilterId(any_=ids)),
                sort=FlowRunSort.ID_DESC,
                limit=PAGE_SIZE,
                offset=offset,
            )

        async for run in self._pages(read, "flow runs"):
            await self._add_run(to_record(run, self._flow_names.get(run.flow_id, "")))

    async def _add_run(self, run: RunRecord) -> None:
        requests = trace_requests(run, self.subject)
        recorded = await recorded_references(self._ledger, requests)
        for fields in own_requests(requests, recorded):
            self.subject = self.subject.learning_from(fields)
        relation = classify_run(run, requests, self.subject, recorded)
        if relation is not Relation.NONE:
            self._runs[run.id] = TracedRun(
                id=run.id,
                flow=run.flow,
                relation=relation,
                state=run.state_type,
                references=other_references(requests, recorded),
            )
        is_labelled = self.subject.is_in_file_name(run.name) or any(
            map(self.subject.is_mentioned, (run.name, *run.labels))
        )
        if relation is Relation.SHARED and is_labelled:
            self._labelled_runs.add(run.id)

    def _ids(self, *relations: Relation) -> set[str]:
        return {run.id for run in self._runs.values() if run.relation in relations}

    async def _search_artifacts(self) -> tuple[list[str], list[str], list[str]]:
        """Return the ids of own and of shared artifacts, and the artifacts of other projects."""
        own, shared, others = [], [], []
        own_runs = self._ids(Relation.OWN)

        def read(offset: int) -> Awaitable[list[Any]]:
            return self._client.read_artifacts(limit=PAGE_SIZE, offset=offset, sort=ArtifactSort.ID_DESC)

        async for artifact in self._pages(read, "artifacts"):
            if str(artifact.flow_run_id) in own_runs or is_own_artifact(artifact.key, artifact.data, self.subject):
                own.append(str(artifact.id))
            elif not is_our_artifact(artifact.key):
                if is_mentioned_in_artifact(artifact.data, self.subject):
                    others.append(f"artifact {artifact.id}")
            elif erase_in_artifact(artifact.data, self.subject) != artifact.data:
                shared.append(str(artifact.id))
            elif has_namesake(artifact.data, self.subject):
                others.append(f"artifact {artifact.id}")
        return own, shared, others

    async def _search_logs(self) -> list[str]:
        """Return the runs, except for the person's own, whose logs, states, name or tags mention the person."""
        ids = set(self._labelled_runs)
        for text in sorted(self.subject.names | self.subject.urls):
            part = searchable_part(text)
            if len(part.encode()) < MIN_QUERY_BYTES:
                continue
            log_filter = LogFilter(text=LogFilterTextSearch(query=f'"{part}"'))

            def read(offset: int, log_filter: LogFilter = log_filter) -> Awaitable[list[Any]]:
                return self._client.read_logs(log_filter, limit=PAGE_SIZE, offset=offset)

            async for log in self._pages(read, "logs"):
                if log.flow_run_id and self.subject.is_mentioned(log.message):
                    ids.add(str(log.flow_run_id))
        for run_id in self._ids(Relation.SHARED):
            states = await self._client.read_flow_run_states(UUID(run_id))
            if any(self.subject.is_mentioned(state.message or "") for state in states):
                ids.add(run_id)
        return sorted([run_id for run_id in ids if not await self._is_about_one_provisioning(run_id)])

    async def _is_about_one_provisioning(self, run_id: str) -> bool:
        """Return whether another entry of the report covers the logs of a run.

        After an erasure of the ledger the name is found only during the search, and so are the runs of other people
        with this name.
        """
        if run_id not in self._runs:
            try:
                run = await self._client.read_flow_run(UUID(run_id))
            except ObjectNotFound:  # deleted since
                return True
            flow = self._flow_names.get(run.flow_id, "")
            if flow not in SINGLE_PROVISIONING_FLOWS:
                return False
            state = run.state_type.value if run.state_type else "SCHEDULED"
            self._runs[run_id] = TracedRun(id=run_id, flow=flow, relation=Relation.SAME_NAME, state=state)
        return self._runs[run_id].relation in {Relation.OWN, Relation.OTHER_PROVISIONING, Relation.SAME_NAME}

    async def _search_others(self) -> list[str]:
        deployments = self._pages(
            lambda offset: self._client.read_deployments(limit=PAGE_SIZE, offset=offset), "deployments"
        )
        found = [f"deployment {item.id}" async for item in deployments if self._is_in(item)]
        automations = self._pages(
            lambda offset: self._client.read_automations(limit=PAGE_SIZE, offset=offset), "automations"
        )
        found += [f"automation {item.id}" async for item in automations if self._is_in(item)]
        variables = self._pages(self._read_variables, "variables")
        return found + [f"variable {item.name}" async for item in variables if self._is_in(item)]

    async def _read_variables(self, offset: int) -> list[Variable]:
        # The method of Prefect's client has no offset.
        page = {"limit": PAGE_SIZE, "offset": offset}
        response = await self._client.request("POST", "/variables/filter", json=page)
        return Variable.model_validate_list(response.json())

    def _is_in(self, item: Any) -> bool:
        return is_mentioned_in(item.model_dump(mode="json"), self.subject)

    async def _count_events(
        self, artifact_ids: Sequence[str], run_ids: Sequence[str]
    ) -> tuple[int, datetime | None]:
        resources = [f"{RESOURCE_PREFIX}.{self.subject.provisioning_id}"]
        # Also the runs that were deleted before: events outlive their run.
        earlier = {*self.subject.traces.flow_run_ids} - self._ids(Relation.SHARED)
        all_run_ids = self._ids(Relation.OWN, Relation.ACTIVE) | earlier | {*run_ids}
        resources += [f"prefect.flow-run.{run_id}" for run_id in sorted(all_run_ids)]
        resources += [f"prefect.artifact.{artifact_id}" for artifact_id in artifact_ids]
        count, newest = 0, None
        for start in range(0, len(resources), RESOURCES_PER_QUERY):
            some = EventAnyResourceFilter(id=resources[start : start + RESOURCES_PER_QUERY])
            page = await self._client.read_events(EventFilter(any_resource=some), limit=1)
            count += page.total
            newest = max([*(event.occurred for event in page.events), *([newest] if newest else [])], default=None)
        retention = await self._events_retention() if newest else None
        return count, newest + retention if newest and retention else None

    async def _events_retention(self) -> timedelta | None:
        """Return how long the server keeps events; None if it does not report that."""
        response = await self._client.request("GET", "/admin/settings")
        try:
            value = response.json()["server"]["events"]["retention_period"]
            return TypeAdapter(timedelta).validate_python(value)
        except (ValueError, LookupError, TypeError):
            return None

    async def _pages(self, read: Callable[[int], Awaitable[Iterable[Item]]], noun: str) -> AsyncIterator[Item]:
        """Yield every object; one page is in memory at a time."""
        offset = 0
        while page := list(await read(offset)):
            for item in page:
                yield item
            offset += len(page)
            if len(page) < PAGE_SIZE:
                return
            if offset % (PAGE_SIZE * PROGRESS_PAGES) == 0:
                self._on_progress(f"searched {offset:,} {noun} in Prefect")


def to_record(run: FlowRun, flow: str) -> RunRecord:
    """Return the run with what decides about it."""
    state = run.state
    return RunRecord(
        id=str(run.id),
        flow=flow,
        name=run.name,
        parameters=run.parameters,
        state_type=state.type.value if state else "SCHEDULED",
        state_message=(state.message or "") if state else "",
        labels=[*run.tags, run.idempotency_key or ""],
    )


async def recorded_references(ledger: Ledger, requests: Iterable[TracedRequest]) -> set[str]:
    """Return the references of these requests that the ledger has. Raises DatabaseError."""
    references = sorted({reference for request in requests for reference in request.references})
    return set(await ledger.find_fingerprints(references)) if references else set()


def searchable_part(text: str) -> str:
    """Return the part of a text for which Prefect finds every log that contains the text.

    SQLite compares only ASCII letters without regard to case, and a quotation mark would end the search term.
    """
    parts = re.findall(r'[^"\\]+', text)
    if text.lower() != re.sub("[A-Z]", lambda letter: letter.group().lower(), text):
        parts = re.findall(r"[ !#-\[\]-~]+", text) or parts
    return max(parts, key=len, default="")[: MAX_QUERY_CHARACTERS - 2]
