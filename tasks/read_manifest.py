"""The task that reads the manifest of a run over the Prefect API: from an HTTPS URL or a configured folder."""

from __future__ import annotations

import asyncio
import logging

from prefect import task

from media.manifest_loader import load_manifest_of_run
from models.manifest.manifest import Manifest, ManifestOptions
from models.settings import Settings
from services.prefect_api.prefect_options import TASK_OPTIONS
from services.run_log import log_to_run


@task(name="read-manifest", **TASK_OPTIONS)
async def read_manifest(path_or_url: str, options: ManifestOptions) -> Manifest:
    """Return a manifest with all its rows, including invalid ones.

    Args:
        path_or_url: The manifest.
        options: What the caller says about its format and columns.

    Raises:
        InvalidManifest: The manifest does not exist, is not below AVATARS_MANIFEST_DIR or cannot be parsed.
        MediaUnreachable: The host of the manifest does not respond.
        NetworkUnavailable: This machine resolves no host names.
        SettingsError: A setting is invalid, or AVATARS_MANIFEST_DIR does not exist.

    """
    settings = Settings.load()
    manifest = await asyncio.to_thread(
        load_manifest_of_run,
        path_or_url,
        folder=settings.avatars_manifest_dir,
        options=options,
        allowed_hosts=settings.avatars_media_allowed_hosts,
        reference_host=settings.reference_host,
    )
    for notice in manifest.notices:
        log_to_run("the manifest: %s", notice, level=logging.WARNING)
    return manifest
