"""Where Prefect holds a person's data: classifies flow runs and artifacts, without any call to Prefect."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from models.privacy.data_subject import DataSubject, Match, TracedRequest
from models.privacy.written_requests import iter_requests
from models.reports.artifact_keys import contains_key_of

SINGLE_PROVISIONING_FLOWS = frozenset(
    {
        *("provision-avatar", "provision-image-avatar", "resume-provisioning"),
        *("release-recordings", "training-failed", "refused"),
    }
)
"""Flows whose runs are about one provisioning, or name several by their ids only."""
BATCH_FLOW = "provision-batch"
ANONYMOUS_FLOWS = frozenset({"provision-pending", "reconcile-avatars", "fleet-report"})
"""Scheduled flows, whose runs have no parameters."""
OUR_FLOWS = SINGLE_PROVISIONING_FLOWS | ANONYMOUS_FLOWS | {BATCH_FLOW}
"""Every flow of this project."""
ACTIVE_STATE_TYPES = frozenset({"RUNNING", "PENDING", "CANCELLING"})
"""States of runs that have a process."""
FINAL_STATE_TYPES = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})


class Relation(StrEnum):
    """How a flow run relates to a person; the report lists the runs of each kind except NONE."""

    OWN = "own"
    """About this person only: deleted."""
    SHARED = "shared"
    """Has requests of other people, too: the person's requests in its parameters are replaced."""
    ACTIVE = "active"
    """One of these two, and it has not ended: left unchanged."""
    OTHER_FLOW = "other flow"
    """Run of a flow that is not ours: left unchanged."""
    OTHER_PROVISIONING = "other provisioning"
    """Uses the same recording, and belongs to another provisioning: erased with that one."""
    SAME_NAME = "same name"
    """Has an equal name and nothing else of this person."""
    NONE = "none"


@dataclass(frozen=True)
class RunRecord:
    """A flow run as Prefect returns it, with the name of its flow."""

    id: str
    flow: str
    name: str
    parameters: Mapping[str, Any]
    state_type: str
    state_message: str = ""
    labels: Sequence[str] = ()
    """Further texts that a caller chose: tags and the idempotency key."""


def trace_requests(run: RunRecord, subject: DataSubject) -> list[TracedRequest]:
    """Return every request in the parameters of a run, and how it relates to a person."""
    # A row of a batch without a reference has a derived one, not the id of the run.
    run_id = None if run.flow == BATCH_FLOW else run.id
    return [subject.trace(fields, run_id) for fields in iter_requests(run.parameters)]


def own_requests(requests: Sequence[TracedRequest], recorded: Collection[str]) -> list[Mapping[str, Any]]:
    """Return the requests of the person that are not erased yet."""
    return [request.fields for request in requests if request.match(recorded) is Match.OWN]


def other_references(requests: Sequence[TracedRequest], recorded: Collection[str]) -> list[str]:
    """Return the references of other provisionings in requests with the person's recording, each once."""
    return sorted({reference for request in requests for reference in request.references if reference in recorded})


def classify_run(
    run: RunRecord, requests: Sequence[TracedRequest], subject: DataSubject, recorded: Collection[str]
) -> Relation:
    """Return how a run relates to a person.

    Args:
        run: The run.
        requests: What `trace_requests` returned for it.
        subject: The person.
        recorded: The references of these requests that other provisionings of the ledger have.
    """
    own = own_requests(requests, recorded)
    is_single = run.flow in SINGLE_PROVISIONING_FLOWS and len(requests) <= 1
    # A request without a reference has that of its run. A person's reference can be the id of a run of others, too.
    is_named = run.id in subject.traces.flow_run_ids or (run.id == subject.reference and not requests)
    if is_single and (own or is_named):
        return Relation.ACTIVE if run.state_type in ACTIVE_STATE_TYPES else Relation.OWN
    if run.flow == BATCH_FLOW and (own or subject.has_url(run.state_message)):
        if run.state_type not in FINAL_STATE_TYPES:
            return Relation.ACTIVE
        rows = run.parameters.get("rows")
        has_others = len(own) < max(len(requests), len(rows) if isinstance(rows, list) else 0)
        return Relation.SHARED if has_others or not own else Relation.OWN
    if run.flow not in OUR_FLOWS and (own or _mentions(run.parameters, subject)):
        return Relation.OTHER_FLOW
    matches = {request.match(recorded) for request in requests}
    if Match.OTHER_PROVISIONING in matches:
        return Relation.OTHER_PROVISIONING
    # A batch is named after its manifest, and a manifest may be named after a person.
    is_named = subject.is_named(run.name) or (run.flow == BATCH_FLOW and subject.is_in_file_name(run.name))
    return Relation.SAME_NAME if Match.SAME_NAME in matches or is_named else Relation.NONE


def is_mentioned_in(document: Mapping[str, Any], subject: DataSubject) -> bool:
    """Return whether a deployment, automation or variable, as JSON, has a URL, an id or a request of a person.

    The key of an artifact, which an address can contain, counts as an id.
    """
    if any(
        subject.has_url(text)
        or any(key in text for key in subject.ids)
        or contains_key_of(text, subject.provisioning_id)
        for text in _strings(document)
    ):
        return True
    # Not the document itself: each has a name.
    return any(
        subject.trace(fields, None).match(()) is Match.OWN
        for part in document.values()
        for fields in iter_requests(part)
    )


def _mentions(parameters: Any, subject: DataSubject) -> bool:
    return any(subject.has_url(text) or text in subject.ids for text in _strings(parameters))


def _strings(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for item in value.items() for part in item for text in _strings(part)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []


class TracedRun(BaseModel):
    """A flow run in a report. Its name is left out: it may be the person's.

    Attributes:
        references: Those of other provisionings that it requests with the person's recording.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    flow: str
    relation: Relation
    state: str
    references: list[str] = []


class PrefectTraces(BaseModel):
    """What Prefect holds of a person.

    Attributes:
        runs: The flow runs.
        own_artifacts: Ids of the artifacts about this person only, each version of them.
        shared_artifacts: Ids of the artifacts that list other people, too.
        logs_of_runs: Ids of runs whose logs, earlier states, name or tags mention the person, and which are not
            about the person only.
        others: Other objects whose text mentions the person, for example `deployment ID`.
        event_count: Events about these runs, these artifacts and the provisioning.
        events_until: When Prefect will have deleted the newest of these events; None if that is not known.
    """

    model_config = ConfigDict(frozen=True)

    runs: list[TracedRun] = []
    own_artifacts: list[str] = []
    shared_artifacts: list[str] = []
    logs_of_runs: list[str] = []
    others: list[str] = []
    event_count: int = 0
    events_until: datetime | None = None

    def run_ids(self, *relations: Relation) -> list[str]:
        """Return the ids of the runs with these relations."""
        return [run.id for run in self.runs if run.relation in relations]

    @property
    def can_be_removed(self) -> bool:
        """Whether `avatars erase --in-prefect` would delete or change anything."""
        has_runs = bool(self.run_ids(Relation.OWN, Relation.SHARED))
        return has_runs or bool(self.own_artifacts or self.shared_artifacts)
