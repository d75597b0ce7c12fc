"""The form and the Prefect API refuse a batch with neither or both of manifest and rows, before a run exists."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.deployments.runner import RunnerDeployment
from prefect.utilities.schema_tools.validation import validate

from deployments.catalog import build_deployments
from models.settings import Settings

ROW = {"name": "Ada"}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    [deployment] = [d for d in build_deployments(Settings(), "pool") if d.flow_name == "provision-batch"]
    assert isinstance(deployment, RunnerDeployment)
    return deployment._parameter_openapi_schema.model_dump(exclude_unset=True)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"manifest": None},
        {"manifest": None, "rows": None},
        {"manifest": "m.csv", "rows": [ROW]},
        {"dry_run": True},
    ],
)
def test_neither_or_both_sources_are_refused(parameters: dict[str, Any], schema: dict[str, Any]) -> None:
    assert validate(parameters, schema)


@pytest.mark.parametrize(
    "parameters",
    [
        {"manifest": "m.csv"},
        {"rows": [ROW]},
        {"manifest": None, "rows": [ROW]},
        {"manifest": "m.csv", "rows": None},
    ],
)
def test_one_source_is_accepted(parameters: dict[str, Any], schema: dict[str, Any]) -> None:
    assert validate(parameters, schema) == []


def test_defaults_of_the_deployment_are_accepted(schema: dict[str, Any]) -> None:
    assert validate({}, schema, ignore_required=True) == []


def test_form_says_what_a_manifest_may_be(schema: dict[str, Any]) -> None:
    properties = schema["properties"]
    description = " ".join(properties["manifest"]["description"].split())
    assert all(form in description for form in (".xlsx", ".ods", "CSV", "Google Sheets"))
    assert properties["rows"]["examples"][0][0]["name"] == "Ada Lovelace"
    assert "rows" in description
