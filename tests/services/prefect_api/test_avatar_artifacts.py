"""The artifact about a provisioning: one per provisioning on a real Prefect server, changed in place."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact

from models.provisioning import Provisioning, Status
from models.reports.artifact_keys import avatar_key
from models.request import ProvisioningRequest
from services.prefect_api.avatar_artifacts import find_artifact_ids, put_artifact
from tests.models.reports.test_markdown_reports import provisioning

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api_url")]


async def read_artifacts(provisioning_id: str) -> list[Artifact]:
    key = ArtifactFilterKey(like_=provisioning_id[:8])
    async with get_client() as client:
        return await client.read_artifacts(artifact_filter=ArtifactFilter(key=key))


def make(name: str) -> Provisioning:
    return provisioning(Status.TRAINING, name=name, id=str(uuid.uuid4()))


async def test_artifact_is_changed_in_place() -> None:
    ada = make("Ada Lovelace")
    await put_artifact(ada, f"training {ada.id}", "Ada: TRAINING")
    [first] = await read_artifacts(ada.id)
    await put_artifact(ada, f"training {ada.id}", "Ada: TRAINING")
    [unchanged] = await read_artifacts(ada.id)
    assert (unchanged.id, unchanged.updated) == (first.id, first.updated)
    await put_artifact(ada, f"ready {ada.id}", "Ada: READY")
    [changed] = await read_artifacts(ada.id)
    assert (changed.id, changed.data, changed.description) == (first.id, f"ready {ada.id}", "Ada: READY")
    assert changed.key == avatar_key("Ada Lovelace", ada.id)
    assert await find_artifact_ids([ada, make("Bob")]) == {ada.id: str(first.id)}


async def test_artifact_of_a_former_name_is_removed() -> None:
    ada = make("Ada")
    await put_artifact(ada, f"text {ada.id}", "Ada")
    assert isinstance(ada.request, ProvisioningRequest)
    renamed = replace(ada, request=ada.request.model_copy(update={"name": "Grace"}))
    await put_artifact(renamed, f"text {ada.id}", "Grace")
    [artifact] = await read_artifacts(ada.id)
    assert artifact.key == f"avatar-grace-{ada.id[:8]}"


async def test_artifact_of_an_id_that_begins_alike_stays() -> None:
    ada = make("Ada")
    other = replace(ada, id=f"{ada.id[:9]}{str(uuid.uuid4())[9:]}")
    for item in (ada, other):
        await put_artifact(item, f"text {item.id}", "Ada")
    assert sorted(str(artifact.data) for artifact in await read_artifacts(ada.id)) == sorted(
        [f"text {ada.id}", f"text {other.id}"]
    )
