"""Reads a batch's manifest: a file of this machine, or one behind an https URL."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from prefect import task

from clients.manifest_file import fetch_manifest
from models.errors import InvalidManifest
from models.manifest import MAX_BYTES, ManifestRow, format_of, read_manifest
from models.redaction import redact_url
from models.settings import Settings
from tasks.options import TASK


def load_manifest(place: str) -> list[ManifestRow]:
    """Return the rows of a manifest; it blocks.

    Raises InvalidManifest where it cannot be had or read as a whole, MediaUnreachable where its host gave no
    answer, SettingsError.
    """
    if "://" in place:
        return read_manifest(*_fetched(place))
    form = format_of(place)
    try:
        path = Path(place).expanduser()
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "this is no path"
        raise InvalidManifest(
            f"the manifest {redact_url(place)} cannot be read: {why}", hint="look for a typo, and for its rights"
        ) from None
    return read_manifest(data, form)


def _fetched(url: str) -> tuple[bytes, str]:
    try:
        form = format_of(urlsplit(url).path)
    except ValueError:
        raise InvalidManifest(f"{redact_url(url)} is no URL", hint="look for a typo") from None
    return fetch_manifest(url, allowed_hosts=Settings.load().avatars_media_allowed_hosts), form


@task(name="read-manifest", **TASK)
async def read_manifest_of(place: str) -> list[ManifestRow]:
    """Return the rows of a manifest, as `load_manifest` does."""
    return await asyncio.to_thread(load_manifest, place)
