"""The artifact about a provisioning in Prefect: one per provisioning, which every run updates in place.

Prefect's own functions would add a version for each change, and their update would emit the new data as an event,
which no call deletes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.utilities.context import get_task_and_flow_run_ids

from models.privacy.erasure import ERASED_PLACEHOLDER
from models.provisioning import Provisioning
from models.reports.artifact_keys import AVATAR_KEY_PREFIX, ID_CHARACTERS, avatar_key, is_key_of

PAGE_SIZE = 200
"""Artifacts per request: the most that Prefect's API allows."""


async def put_artifact(provisioning: Provisioning, markdown: str, description: str) -> None:
    """Create the artifact about a provisioning, or change it if the text differs.

    Artifacts of a former name, and further ones that two processes created at once, are removed.

    Raises:
        httpx.HTTPError: The Prefect API does not respond.
    """
    key = avatar_key(provisioning.name, provisioning.id)
    async with get_client() as client:
        # Only a new key needs the second query, which reads all keys.
        found = await _find(client, provisioning.id, ArtifactFilterKey(any_=[key]))
        if not found:
            part = f"{AVATAR_KEY_PREFIX}%{provisioning.id[:ID_CHARACTERS]}"
            found = await _find(client, provisioning.id, ArtifactFilterKey(like_=part))
        current = next((artifact for artifact in found if artifact.key == key), None)
        for artifact in found:
            if artifact is not current:
                await remove_artifact(client, artifact.id)
        is_current = current is not None and (
            (current.data, current.description) == (markdown, description)
            or await change_artifact(client, current.id, {"data": markdown, "description": description})
        )
        if not is_current:  # or it was deleted since
            await add_artifact(client, key, markdown, description)


async def add_artifact(client: PrefectClient, key: str, markdown: str, description: str) -> None:
    """Create an artifact of the current run, or of none. Raises httpx.HTTPError.

    Prefect's own function warns outside of a run that it will no longer work there.
    """
    task_run_id, flow_run_id = get_task_and_flow_run_ids()
    await client.create_artifact(
        ArtifactCreate(
            key=key,
            type="markdown",
            data=markdown,
            description=description,
            task_run_id=task_run_id,
            flow_run_id=flow_run_id,
        )
    )


async def find_artifact_ids(provisionings: Sequence[Provisioning]) -> Mapping[str, str]:
    """Return the ids of the artifacts by those of their provisionings, without the ones that have none.

    Raises:
        httpx.HTTPError: The Prefect API does not respond.
    """
    keys = {avatar_key(provisioning.name, provisioning.id): provisioning.id for provisioning in provisionings}
    wanted = sorted(keys)
    ids: dict[str, str] = {}
    async with get_client() as client:
        for start in range(0, len(wanted), PAGE_SIZE):
            some = ArtifactFilter(key=ArtifactFilterKey(any_=wanted[start : start + PAGE_SIZE]))
            for artifact in await client.read_artifacts(artifact_filter=some, limit=PAGE_SIZE):
                ids[keys[str(artifact.key)]] = str(artifact.id)
    return ids


async def change_artifact(client: PrefectClient, artifact_id: UUID, changes: Mapping[str, Any]) -> bool:
    """Change an artifact without an event; return whether it exists. Raises httpx.HTTPError."""
    path = {"id": str(artifact_id)}
    try:
        await client.request("PATCH", "/artifacts/{id}", path_params=path, json=dict(changes))
    except ObjectNotFound:
        return False
    except PrefectHTTPStatusError as error:
        if error.response.status_code == HTTPStatus.NOT_FOUND:
            return False
        raise
    return True


async def remove_artifact(client: PrefectClient, artifact_id: UUID) -> None:
    """Empty and delete an artifact, because Prefect emits an event with the data of a deleted one.

    Raises:
        httpx.HTTPError: The Prefect API does not respond.
    """
    await change_artifact(client, artifact_id, {"data": ERASED_PLACEHOLDER, "description": ERASED_PLACEHOLDER})
    with contextlib.suppress(ObjectNotFound):  # a concurrent process or the server's own clean-up deleted it
        await client.delete_artifact(artifact_id)


async def _find(client: PrefectClient, provisioning_id: str, key: ArtifactFilterKey) -> list[Artifact]:
    """Return the artifacts about a provisioning with such a key, the newest first."""
    found = await client.read_artifacts(
        artifact_filter=ArtifactFilter(key=key), sort=ArtifactSort.CREATED_DESC, limit=PAGE_SIZE
    )
    return [
        artifact
        for artifact in found
        if artifact.key is not None
        and is_key_of(artifact.key, provisioning_id)
        and provisioning_id in str(artifact.data)
    ]
