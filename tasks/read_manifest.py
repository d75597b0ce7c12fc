"""Reads a batch's manifest: a file of this machine, or one behind an https URL."""

from __future__ import annotations

import asyncio

from prefect import task

from clients.manifest_file import load_manifest
from models.manifest import ManifestRow
from models.settings import Settings
from tasks.options import TASK


@task(name="read-manifest", **TASK)
async def read_manifest(place: str) -> list[ManifestRow]:
    """Return the rows of a manifest, the bad ones too.

    Raises InvalidManifest where it cannot be had or read as a whole, MediaUnreachable where its host gave no
    answer, SettingsError.
    """
    hosts = Settings.load().avatars_media_allowed_hosts
    return await asyncio.to_thread(load_manifest, place, allowed_hosts=hosts)
