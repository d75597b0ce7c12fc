"""Which flow runs hold a person's data: one person among others with the same name, recording or batch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from models.manifest.manifest import parse_rows
from models.privacy.artifact_erasure import erase_in_artifact
from models.privacy.data_subject import MIN_CUT_URL_CHARACTERS, DataSubject, LedgerTraces
from models.privacy.erasure import ERASED_PLACEHOLDER
from models.privacy.prefect_traces import Relation, RunRecord, is_mentioned_in, own_requests, trace_requests
from models.privacy.prefect_traces import classify_run as classify
from models.privacy.written_requests import erase_requests, iter_requests
from models.recordings.identity import identity_digest
from models.request import ProvisioningRequest
from models.text.escaping import inert, state_message

ID = "1c9771a1-0000-4000-8000-000000000001"
RUN = "aaaaaaaa-0000-4000-8000-000000000001"
DATASET = "https://videos.example/ada/dataset.mp4"
CONSENT = "https://videos.example/ada/consent.mp4"
REQUEST = {
    "name": "Ada Lovelace",
    "dataset_video": f"{DATASET}?X-Amz-Signature=1",
    "consent_video": f"{CONSENT}?X-Amz-Signature=2",
}
BOB = {
    "name": "Bob",
    "dataset_video": "https://videos.example/bob/d.mp4",
    "consent_video": "https://b.example/c.mp4",
}
NAMESAKE = {**BOB, "name": "Ada Lovelace"}


def subject(**changes: Any) -> DataSubject:
    digests = (identity_digest(DATASET), identity_digest(CONSENT))
    fingerprint = ProvisioningRequest.model_validate(REQUEST).fingerprint
    traces = LedgerTraces(("a-1",), ("s-1",), (RUN,), request_fingerprint=fingerprint, recording_digests=digests)
    return replace(DataSubject(ID, "creator-1", traces).including(REQUEST), **changes)


ERASED = subject(names=frozenset(), urls=frozenset())
"""The person after the erasure of the ledger."""


def run(flow: str, parameters: Any, state: str = "COMPLETED", **fields: Any) -> RunRecord:
    return RunRecord(
        **{"id": "bbbbbbbb-1", "flow": flow, "name": "x", "parameters": parameters, "state_type": state, **fields}
    )


def classify_run(record: RunRecord, person: DataSubject, recorded: Collection[str]) -> Relation:
    return classify(record, trace_requests(record, person), person, recorded)


def request(**changes: Any) -> dict[str, Any]:
    return {"request": {**REQUEST, **changes}}


@pytest.mark.parametrize("person", [subject(), ERASED], ids=["before", "after"])
@pytest.mark.parametrize(
    ("flow", "parameters", "relation"),
    [
        ("provision-avatar", request(reference="creator-1"), Relation.OWN),
        ("provision-avatar", request(reference=" creator-1\u200b"), Relation.OWN),
        ("provision-avatar", request(), Relation.OWN),
        # A conflict: the same reference with another request.
        ("provision-avatar", {"request": {**BOB, "reference": "creator-1"}}, Relation.OWN),
        # Failed its validation, so the ledger has no provisioning of it.
        ("provision-avatar", request(nmae="x"), Relation.OWN),
        ("provision-avatar", {"request": {"dataset_video": DATASET.replace("https", "HTTPS")}}, Relation.OWN),
        ("provision-avatar", request(reference="typo-1"), Relation.OWN),
        ("provision-avatar", request(reference="other-1"), Relation.OTHER_PROVISIONING),
        ("provision-avatar", {"request": BOB}, Relation.NONE),
        ("provision-avatar", {}, Relation.NONE),
        ("resume-provisioning", {"provisioning_id": ID, "wait": "block"}, Relation.OWN),
        ("resume-provisioning", {"provisioning_id": "creator-1"}, Relation.OWN),
        ("resume-provisioning", {"provisioning_id": "creator-10"}, Relation.NONE),
        ("release-recordings", {"provisioning_id": ID, "reason": "Ada called"}, Relation.OWN),
        ("refused", {"provisioning_ids": [ID]}, Relation.OWN),
        # Only ids, which the log of the run repeats.
        ("refused", {"provisioning_ids": [ID, "other"]}, Relation.NONE),
        ("provision-batch", {"rows": [REQUEST]}, Relation.OWN),
        ("provision-batch", {"rows": [REQUEST, BOB]}, Relation.SHARED),
        ("provision-batch", {"rows": [{**BOB, "reference": "creator-1"}, BOB, "odd"]}, Relation.SHARED),
        ("provision-batch", {"rows": [BOB, 7, None]}, Relation.NONE),
        # Columns of another person that are no fields of a request.
        ("provision-batch", {"rows": [REQUEST, {"Name": "Bob"}]}, Relation.SHARED),
        ("provision-batch", {"manifest": "people.csv", "rows": None}, Relation.NONE),
        ("their-flow", {"people": [REQUEST]}, Relation.OTHER_FLOW),
        ("their-flow", {"text": ID}, Relation.OTHER_FLOW),
        ("their-flow", {"text": "x"}, Relation.NONE),
        ("reconcile-avatars", {}, Relation.NONE),
    ],
)
def test_relation_of_a_run(person: DataSubject, flow: str, parameters: Any, relation: Relation) -> None:
    assert classify_run(run(flow, parameters), person, recorded={"other-1"}) is relation


@pytest.mark.parametrize(
    ("record", "relation"),
    [
        (run("provision-avatar", {"request": NAMESAKE}), Relation.SAME_NAME),
        (run("provision-avatar", {"request": {**NAMESAKE, "name": " Ada\u00a0Lovelace "}}), Relation.SAME_NAME),
        (run("provision-batch", {"rows": [NAMESAKE, BOB]}), Relation.SAME_NAME),
        (run("their-flow", {}, name="Ada Lovelace"), Relation.SAME_NAME),
        (run("provision-avatar", {}, name="Ada"), Relation.NONE),
    ],
)
def test_equal_name_is_not_the_same_person(record: RunRecord, relation: Relation) -> None:
    assert classify_run(record, subject(), recorded=()) is relation


@pytest.mark.parametrize("state", ["RUNNING", "PENDING", "CANCELLING"])
@pytest.mark.parametrize("rows", [[REQUEST], [REQUEST, BOB]])
def test_run_with_a_process_is_active(state: str, rows: list[Any]) -> None:
    assert classify_run(run("provision-batch", {"rows": rows}, state), subject(), ()) is Relation.ACTIVE
    assert classify_run(run("provision-avatar", request(), state), subject(), ()) is Relation.ACTIVE


def test_suspended_run_is_own_and_scheduled_batch_is_active() -> None:
    assert classify_run(run("provision-avatar", request(), "PAUSED"), subject(), ()) is Relation.OWN
    assert classify_run(run("provision-batch", {"rows": [REQUEST]}, "SCHEDULED"), subject(), ()) is Relation.ACTIVE


def test_run_that_the_ledger_names_is_own_unless_others_share_it() -> None:
    assert classify_run(run("provision-avatar", {"request": "odd"}, id=RUN), ERASED, ()) is Relation.OWN
    assert classify_run(run("provision-batch", {"manifest": "x.csv"}, id=RUN), ERASED, ()) is Relation.NONE
    assert classify_run(run("reconcile-avatars", {}, id=RUN), ERASED, ()) is Relation.NONE


def test_run_id_is_the_reference_of_a_request_without_one() -> None:
    person = replace(ERASED, reference=RUN, traces=LedgerTraces())
    assert classify_run(run("provision-avatar", {"request": BOB}, id=RUN), person, ()) is Relation.OWN


@pytest.mark.parametrize(
    ("flow", "parameters"),
    [
        ("provision-avatar", {"request": {**BOB, "reference": "bob-1"}}),
        ("resume-provisioning", {"provisioning_id": "bob-1"}),
        ("provision-batch", {"rows": [BOB]}),
        ("provision-batch", {"rows": [BOB, {**BOB, "reference": "bob-1"}]}),
    ],
)
def test_reference_that_is_the_id_of_a_run_of_others(flow: str, parameters: Any) -> None:
    person = replace(ERASED, reference=RUN, traces=LedgerTraces(flow_run_ids=("x",)))
    assert classify_run(run(flow, parameters, id=RUN), person, ()) is Relation.NONE


def test_derived_reference_of_a_row_is_recognized() -> None:
    [row] = parse_rows([REQUEST])
    assert row.request is not None
    person = DataSubject(ID, row.reference, LedgerTraces(request_fingerprint=row.request.fingerprint))
    assert classify_run(run("provision-batch", {"rows": [REQUEST, BOB]}), person, ()) is Relation.SHARED


def test_rejected_request_is_recognized_by_its_fingerprint() -> None:
    traces = LedgerTraces(request_fingerprint=ProvisioningRequest.model_validate(REQUEST).fingerprint)
    person = DataSubject(ID, "creator-1", traces)
    assert classify_run(run("provision-avatar", request(reference="dry-1")), person, ()) is Relation.OWN


def test_unclear_references_are_those_of_the_same_recording() -> None:
    rows = [{**REQUEST, "reference": "other-1"}, {**BOB, "reference": "bob-1"}]
    requests = trace_requests(run("provision-batch", {"rows": rows}), ERASED)
    assert [list(request.references) for request in requests] == [["other-1"], []]


def test_shared_recordings_in_the_state_of_a_batch_are_found() -> None:
    message = f"several rows share recordings: lines 1, 2 share the dataset recording {DATASET}"
    record = run("provision-batch", {"manifest": "x.csv"}, "FAILED", state_message=message)
    assert classify_run(record, subject(), ()) is Relation.SHARED


def test_erasure_of_parameters_keeps_other_rows() -> None:
    parameters = {"rows": [{**REQUEST, "extras": {"a": "b"}, "reference": "creator-1"}, BOB], "dry_run": True}
    record = run("provision-batch", parameters)
    own = {id(fields) for fields in own_requests(trace_requests(record, subject()), ())}
    erased = erase_requests(parameters, own)
    assert erased["rows"][1:] == [BOB]
    assert erased["dry_run"] is True
    assert erased["rows"][0] == {
        **dict.fromkeys([*REQUEST, "extras"], ERASED_PLACEHOLDER),
        "reference": "creator-1",
    }
    assert classify_run(run("provision-batch", erased), subject(), ()) is Relation.NONE


def test_requests_are_found_at_any_depth() -> None:
    assert list(iter_requests({"a": [{"b": {"name": "x"}}], "provisioning_ids": ["1", 2, "3"]})) == [
        {"name": "x"},
        {"provisioning_id": "1"},
        {"provisioning_id": "3"},
    ]


@pytest.mark.parametrize(
    ("text", "is_mentioned"),
    [
        ("resumed run Ada Lovelace", True),
        ("Ada Lovelace: READY", True),
        ("Ada Lovelaces", False),
        (f"see {DATASET}?…", True),
        ("https://videos.example/bob/d.mp4", False),
    ],
)
def test_names_are_found_as_whole_words(text: str, is_mentioned: bool) -> None:
    assert subject().is_mentioned(text) is is_mentioned


def test_url_is_found_in_any_text_of_other_flows() -> None:
    record = run("their-flow", {"payload": [{"video": f"watch {DATASET}?x=1"}]})
    assert classify_run(record, subject(), ()) is Relation.OTHER_FLOW


SELECTED = {
    "name": "Ada",
    "dataset_video": "https://v.example/get?id=1",
    "consent_video": "https://v.example/get?id=2",
}


@pytest.mark.parametrize(
    ("document", "is_mentioned"),
    [
        ({"name": "x", "parameters": {"request": SELECTED}}, True),
        ({"name": "x", "schedules": [{"parameters": {"rows": [BOB, SELECTED]}}]}, True),
        ({"name": "x", "actions": [{"parameters": {"provisioning_id": "creator-1"}}]}, True),
        ({"name": "x", "value": ["see https://v.example/ada.mp4"]}, True),
        ({"name": "x", "trigger": {"match": {"prefect.resource.id": f"avatars.provisioning.{ID}"}}}, True),
        ({"name": "Ada", "parameters": {"request": BOB}}, False),
        ({"name": "x", "schema": {"properties": {"name": {"type": "string"}}}}, False),
    ],
)
def test_request_in_a_deployment_is_found(document: dict[str, Any], is_mentioned: bool) -> None:
    digests = (identity_digest(SELECTED["dataset_video"]),)
    person = DataSubject(ID, "creator-1", LedgerTraces(recording_digests=digests)).including(
        {**SELECTED, "consent_video": "https://v.example/ada.mp4"}
    )
    assert is_mentioned_in(document, person) is is_mentioned


def test_url_of_a_file_that_its_query_selects_is_not_searched() -> None:
    person = DataSubject(ID, "r-1").including({**REQUEST, "dataset_video": "https://v.example/get?id=1"})
    assert not person.has_url("https://v.example/get?…")
    assert person.has_url(CONSENT)


@pytest.mark.parametrize(
    ("text", "has_url"),
    [
        (DATASET, True),
        (f'"{DATASET}","x"', True),
        (f"see {DATASET}: it is gone", True),
        (f"see ({DATASET}).", True),
        (f"<{DATASET}>", True),
        (f"{DATASET}?X-Amz-Signature=1", True),
        (f"{DATASET}#t=1", True),
        (f"Ada,{DATASET},creator-1", True),
        (f"Ada;{DATASET};creator-1", True),
        (f"{DATASET}.old", False),
        (f"{DATASET}2", False),
        (f"{DATASET}/2", False),
        (f"{DATASET}%20b", False),
        (f"{DATASET}-(2).mp4", False),
    ],
)
def test_longer_url_is_not_that_of_the_recording(text: str, has_url: bool) -> None:
    assert subject().has_url(text) is has_url


@pytest.mark.parametrize(
    "shown",
    [
        "HTTPS://V.example:443/%7eAda//d.mp4",
        "https://v.example:443/%7eAda//d.mp4",
        "https://v.example/%7eAda//d.mp4",
        "https://v.example/~Ada/d.mp4",
    ],
)
def test_url_is_found_as_an_http_client_writes_it(shown: str) -> None:
    person = DataSubject(ID, "r-1").including(
        {"dataset_video": "HTTPS://V.example:443/%7eAda//d.mp4?X-Amz-Signature=1"}
    )
    assert person.has_url(f"cannot read {shown}: no answer")
    assert not person.has_url(f"cannot read {shown.replace('d.mp4', 'D.mp4')}: no answer")


LONG_URL = f"https://v.example/{'a' * 3000}/ada.mp4"


@pytest.mark.parametrize(
    ("text", "has_url"),
    [
        (state_message(f"cannot read {LONG_URL}"), True),
        (f"cannot read {LONG_URL[:MIN_CUT_URL_CHARACTERS]}…", True),
        (f"cannot read {LONG_URL[:MIN_CUT_URL_CHARACTERS]}/bob.mp4…", False),
        (f"cannot read {LONG_URL[:MIN_CUT_URL_CHARACTERS]}", False),
        (f"cannot read {LONG_URL[:60]}…", False),
    ],
    ids=["state", "shortest", "other", "not cut", "too short"],
)
def test_long_url_is_found_in_a_text_that_was_cut(text: str, has_url: bool) -> None:
    person = DataSubject(ID, "r-1").including({"dataset_video": LONG_URL})
    assert person.has_url(text) is has_url


def test_long_url_is_found_in_a_cell() -> None:
    person = DataSubject(ID, "r-1").including({"dataset_video": LONG_URL})
    row = {"line": "1", "status": "REJECTED", "reasons": inert(f"media: {LONG_URL} is missing")}
    assert erase_in_artifact([row], person)[0]["reasons"] == ERASED_PLACEHOLDER


def test_urls_of_a_corrected_request_are_learned_by_the_name() -> None:
    corrected = {"name": REQUEST["name"], "dataset_video": "https://v.example/ada-2.mp4", "reference": "creator-1"}
    assert subject().learning_from(corrected).has_url("https://v.example/ada-2.mp4 answered 403")


def test_names_of_a_conflict_are_learned_only_with_the_recording() -> None:
    assert ERASED.learning_from({**BOB, "reference": "creator-1"}) == ERASED
    learned = ERASED.learning_from({**REQUEST, "name": "Eve", "reference": "creator-1"})
    assert learned.names == {"Eve"}
    assert learned.urls == {DATASET, CONSENT}


@pytest.mark.parametrize("field", ["name", "reference"])
def test_request_with_the_text_of_the_placeholder_is_found(field: str) -> None:
    person = subject(reference=ERASED_PLACEHOLDER if field == "reference" else "creator-1")
    fields = {**REQUEST, "reference": person.reference, field: ERASED_PLACEHOLDER}
    assert classify_run(run("provision-avatar", {"request": fields}), person, ()) is Relation.OWN
    assert classify_run(run("provision-batch", {"rows": [fields, BOB]}), person, ()) is Relation.SHARED
