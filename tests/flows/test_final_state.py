"""Final states, tables and names of runs with hostile and long texts."""

from __future__ import annotations

import unicodedata

import pytest
from prefect.utilities.callables import parameter_schema

from flows.engine.batch_artifacts import table_of_rows
from flows.engine.final_state import final_state_for_error
from flows.engine.run_context import run_name_for
from flows.resume_provisioning import resume_provisioning
from models.batch import BatchProgress
from models.errors import ArgilUnavailable
from models.manifest.validation import ManifestRow
from models.reason import Reason
from models.text.escaping import MAX_CELL_CHARACTERS, MAX_RUN_NAME_CHARACTERS, MAX_STATE_MESSAGE_CHARACTERS, inert
from tests.hostile_texts import HOSTILE_PARAMETERS, LONG

HIDDEN = {"Cc", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize("text", HOSTILE_PARAMETERS)
def test_state_of_an_error_has_one_bounded_line(text: str) -> None:
    error = ArgilUnavailable(f"Argil answered {text}", hint=text)
    message = final_state_for_error(error).message or ""
    assert message.startswith("Argil answered ")
    assert len(message) <= MAX_STATE_MESSAGE_CHARACTERS
    assert all(unicodedata.category(character) not in HIDDEN for character in message)


@pytest.mark.parametrize("text", HOSTILE_PARAMETERS)
def test_table_of_a_batch_contains_no_markup(text: str) -> None:
    row = ManifestRow(1, text, text, problems=[Reason(code="row.name", message=text)])
    [cells] = table_of_rows(BatchProgress([row], started_at=0.0))
    assert (cells["name"], cells["reference"]) == (inert(text), inert(text))
    assert all(len(cell) <= MAX_CELL_CHARACTERS for cell in cells.values())
    assert not any(character in cell for cell in cells.values() for character in "<>[]&`|")


@pytest.mark.parametrize("text", HOSTILE_PARAMETERS)
def test_name_of_a_run_is_one_bounded_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect.runtime.flow_run.parameters", {"provisioning_id": text}, raising=False)
    name = run_name_for("resume")()
    assert name.startswith("resume ")
    assert len(name) <= MAX_RUN_NAME_CHARACTERS
    assert all(unicodedata.category(character) not in HIDDEN for character in name)
    assert text != LONG or name == f"resume {'x' * (MAX_RUN_NAME_CHARACTERS - 8)}…"


@pytest.mark.parametrize(("given", "verb"), [({}, "resume"), ({"action": "retrain"}, "retrain")])
def test_name_of_a_run_tells_its_action(given: dict[str, str], verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = {"provisioning_id": "ada-1", **given}
    monkeypatch.setattr("prefect.runtime.flow_run.parameters", parameters, raising=False)
    assert run_name_for("resume", verb_parameter="action")() == f"{verb} ada-1"


def test_form_of_resume_describes_every_parameter() -> None:
    schema = parameter_schema(resume_provisioning.fn).model_dump()
    properties = schema["properties"]
    assert list(properties) == [
        *("provisioning_id", "action", "reason", "dataset_video", "consent_video", "image"),
        *("voice_id", "voice_sample", "wait"),
    ]
    assert all(field["type"] == "string" and field["description"] for field in properties.values())
    assert properties["action"]["enum"] == ["resume", "retry", "retrain"]
    assert schema["required"] == ["provisioning_id"]
