"""The rules of the parameters of a batch, which the form and the Prefect API enforce before a run exists."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ParameterTypeError, PrefectHTTPStatusError
from prefect.utilities.schema_tools.validation import validate

from deployments.catalog import build_deployments
from flows.provision_avatar import provision_avatar
from flows.provision_image_avatar import provision_image_avatar
from models.settings import Settings

ROW = {"name": "Ada"}
WITHOUT_ONE_SOURCE: list[dict[str, Any]] = [
    {},
    {"manifest": None},
    {"manifest": None, "rows": None},
    {"manifest": "m.csv", "rows": [ROW]},
    {"dry_run": True},
]
WRONG_OPTIONS: list[dict[str, Any]] = [
    {"manifest": "m.csv", "columns": {"Video link": "video"}},
    {"manifest": "m.csv", "columns": {"Team": "extras."}},
    {"manifest": "m.csv", "columns": ["Video link=dataset_video"]},
    {"manifest": "m.csv", "format": "pdf"},
    {"manifest": "m.csv", "concurrency": 0},
]


def batch_deployment(pool: str) -> RunnerDeployment:
    [deployment] = [d for d in build_deployments(Settings(), pool) if d.flow_name == "provision-batch"]
    assert isinstance(deployment, RunnerDeployment)
    return deployment


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return batch_deployment("pool")._parameter_openapi_schema.model_dump(exclude_unset=True)


@pytest.mark.parametrize("parameters", [*WITHOUT_ONE_SOURCE, *WRONG_OPTIONS])
def test_wrong_parameters_are_refused(parameters: dict[str, Any], schema: dict[str, Any]) -> None:
    assert validate(parameters, schema)


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
async def test_api_creates_no_run_of_wrong_parameters() -> None:
    pool = f"pool-{uuid.uuid4().hex}"
    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        deployment_id = await batch_deployment(pool).aapply()
        of_batch = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
        for parameters in [*WITHOUT_ONE_SOURCE, *WRONG_OPTIONS]:
            with pytest.raises(PrefectHTTPStatusError) as refused:
                await client.create_flow_run_from_deployment(deployment_id, parameters=parameters)
            assert refused.value.response.status_code == 409
        assert await client.read_flow_runs(deployment_filter=of_batch) == []
        columns = {"Video link": "dataset_video", "Team": "extras.team"}
        run = await client.create_flow_run_from_deployment(
            deployment_id, parameters={"manifest": "m.csv", "columns": columns, "strict": True, "format": "csv"}
        )
        assert [found.id for found in await client.read_flow_runs(deployment_filter=of_batch)] == [run.id]
        await client.delete_deployment(deployment_id)


@pytest.mark.parametrize(
    "parameters",
    [
        {"manifest": "m.csv"},
        {"rows": [ROW]},
        {"manifest": None, "rows": [ROW]},
        {"manifest": "m.csv", "rows": None},
        {"manifest": "m.csv", "columns": None, "format": None},
    ],
)
def test_one_source_is_accepted(parameters: dict[str, Any], schema: dict[str, Any]) -> None:
    assert validate(parameters, schema) == []


def test_defaults_of_the_deployment_are_accepted(schema: dict[str, Any]) -> None:
    assert validate({}, schema, ignore_required=True) == []


@pytest.mark.parametrize("name", ["manifest", "rows", "columns", "format"])
def test_optional_field_needs_no_choice_of_a_type(name: str, schema: dict[str, Any]) -> None:
    field = schema["properties"][name]
    assert "anyOf" not in field
    assert field["type"] == {"rows": "array", "columns": "object"}.get(name, "string")


def test_rows_have_an_example(schema: dict[str, Any]) -> None:
    example = schema["properties"]["rows"]["items"]["default"]
    assert validate({"rows": [example]}, schema) == []
    assert {"name", "dataset_video", "consent_video"} <= example.keys()


def test_reference_is_a_text_that_may_be_null_or_absent() -> None:
    [avatar] = [d for d in build_deployments(Settings(), "pool") if d.flow_name == "provision-avatar"]
    assert isinstance(avatar, RunnerDeployment)
    schema = avatar._parameter_openapi_schema.model_dump(exclude_unset=True)
    reference = schema["definitions"]["ProvisioningRequest"]["properties"]["reference"]
    assert (reference["type"], "anyOf" in reference) == ("string", False)
    request = {
        "name": "Ada",
        "dataset_video": "https://a.example/d.mp4",
        "consent_video": "https://a.example/c.mp4",
    }
    for parameters in (request, {**request, "reference": None}, {**request, "reference": "creator-1"}):
        assert validate({"request": parameters}, schema) == []
    assert validate({"request": {**request, "reference": 7}}, schema)


def test_no_description_of_a_field_has_a_literal_backtick() -> None:
    for deployment in build_deployments(Settings(), "pool"):
        assert isinstance(deployment, RunnerDeployment)
        assert "`" not in str(deployment._parameter_openapi_schema.model_dump(exclude_unset=True))
        assert "`" not in str(deployment.description)


def test_form_says_what_a_manifest_may_be(schema: dict[str, Any]) -> None:
    properties = schema["properties"]
    description = " ".join(properties["manifest"]["description"].split())
    assert all(form in description for form in (".xlsx", ".ods", "CSV", "JSONL", "YAML", "Google Sheets", "s3://"))
    assert properties["rows"]["examples"][0][0]["name"] == "Ada Lovelace"
    assert "rows" in description


@pytest.mark.parametrize("path", ["./ada.mp4", "/srv/ada.mp4", "~/ada.mov", "file:///srv/ada.mp4", "ada.mp4"])
def test_api_refuses_local_paths_with_the_rule(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ada.mp4", "ada.png"):
        (tmp_path / name).write_bytes(b"x")
    consent = "https://host.example/consent.mp4"
    for flow, field in ((provision_avatar, "dataset_video"), (provision_image_avatar, "image")):
        fields = {"name": "Ada", field: path.replace("ada.mp4", "ada.png"), "consent_video": consent}
        with pytest.raises(ParameterTypeError, match="must begin with https://") as refused:
            flow.validate_parameters({"request": fields})
        if path[0] in "./~f":
            assert "accepted by the commands of `avatars` only" in str(refused.value)
