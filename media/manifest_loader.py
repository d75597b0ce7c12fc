"""Loads a manifest from a local file, or from an HTTPS URL through the SSRF guard. The size is limited.

The user of a command may read any file. A caller of the Prefect API may not: it would read the files of the worker.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection
from pathlib import Path

from media.remote.fetch_limits import FetchLimits
from media.remote.name_resolution import NameResolution
from media.remote.remote_file import RemoteFile
from media.remote.ssrf_guard import PublicOnlyTransport
from models.errors import InvalidManifest, MediaRejected, MediaUnreachable, SettingsError
from models.manifest import MAX_BYTES, ManifestRow, detect_format, manifest_too_large_error, parse_manifest
from models.recording_identity import split_url
from models.recording_secrets import protect_urls
from models.redaction import redact_url
from models.regular_files import FileTooLarge, OutsideFolder, read_file_below, read_regular_file

# The first range, the rest, and room for retries and redirects of both.
MANIFEST_FETCH_LIMITS = FetchLimits(max_requests=24, max_bytes=2 * MAX_BYTES, timeout_seconds=120.0)


def load_manifest(
    path_or_url: str, *, allowed_hosts: Collection[str] = (), reference_host: str | None = None
) -> list[ManifestRow]:
    """Read and parse a manifest for the user who runs this process. Blocks; call it from a thread.

    Args:
        path_or_url: The path of any local file, or an HTTPS URL. Its suffix determines the format.
        allowed_hosts: Hosts that need not have a public address.
        reference_host: Tells an unknown host from a machine without DNS; see `models.reference_host`.

    Raises:
        InvalidManifest: If the manifest cannot be read, is not a regular file, is too large or cannot be parsed.
        MediaUnreachable: If the host of the URL gives no usable response.
        NetworkUnavailable: If this machine cannot resolve host names.
    """
    if "://" in path_or_url:
        return _load_url(path_or_url, allowed_hosts, reference_host)
    return _load_file(path_or_url, lambda: read_regular_file(Path(path_or_url).expanduser(), MAX_BYTES))


def load_manifest_of_run(
    path_or_url: str,
    *,
    folder: Path | None,
    allowed_hosts: Collection[str] = (),
    reference_host: str | None = None,
) -> list[ManifestRow]:
    """Read and parse a manifest for a run over the Prefect API, whose caller is perhaps not a user of this machine.

    Args:
        path_or_url: An HTTPS URL, or a path below `folder`, to which a relative path refers.
        folder: AVATARS_MANIFEST_DIR; None: only URLs are read.
        allowed_hosts: As for `load_manifest`.
        reference_host: As for `load_manifest`.

    Raises:
        InvalidManifest: As for `load_manifest`; also for a path that is not below the folder, whether or not a
            file is there.
        SettingsError: The folder does not exist.
        MediaUnreachable: If the host of the URL gives no usable response.
        NetworkUnavailable: If this machine cannot resolve host names.
    """
    if "://" in path_or_url:
        return _load_url(path_or_url, allowed_hosts, reference_host)
    if folder is None:
        raise InvalidManifest(
            f"the manifest {redact_url(path_or_url)!r} is a local path, which runs over the API do not read",
            hint="pass an HTTPS URL or `rows`, or set AVATARS_MANIFEST_DIR to the folder of your manifests; "
            "`avatars batch` reads any local file",
        )
    if not folder.is_dir():
        raise SettingsError(
            f"AVATARS_MANIFEST_DIR: {folder} is not a folder", hint="create the folder, or correct the setting"
        )
    try:
        return _load_file(path_or_url, lambda: read_file_below(folder, path_or_url, MAX_BYTES))
    except OutsideFolder:
        raise InvalidManifest(
            f"the manifest {redact_url(path_or_url)!r} is not below AVATARS_MANIFEST_DIR",
            hint="move it into that folder, or pass an HTTPS URL or `rows`",
        ) from None


def _load_url(url: str, allowed_hosts: Collection[str], reference_host: str | None) -> list[ManifestRow]:
    if "#" in url:
        raise InvalidManifest(
            f"{redact_url(url)} is cut at a #", hint="in the name of a file it must be written %23"
        )
    try:
        form = detect_format(split_url(url).path)
    except ValueError:
        raise InvalidManifest(f"{redact_url(url)} is not a valid URL", hint="check it for typos") from None
    with protect_urls([url]):
        data = fetch_manifest(url, allowed_hosts=allowed_hosts, reference_host=reference_host)
    return parse_manifest(data, form)


def _load_file(path: str, read: Callable[[], bytes]) -> list[ManifestRow]:
    form = detect_format(path)
    try:
        data = read()
    except OutsideFolder:
        raise
    except FileTooLarge:
        raise manifest_too_large_error() from None
    except (OSError, ValueError, RuntimeError) as error:
        cause = getattr(error, "strerror", None) or "not a valid path"
        raise InvalidManifest(
            f"cannot read the manifest {redact_url(path)}: {cause}",
            hint="check the path and the file's permissions; a manifest is a regular file",
        ) from None
    return parse_manifest(data, form)


def fetch_manifest(
    url: str,
    *,
    allowed_hosts: Collection[str] = (),
    reference_host: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    limits: FetchLimits = MANIFEST_FETCH_LIMITS,
) -> bytes:
    """Download the file at an HTTPS URL. Blocks; call it from a thread.

    Raises:
        InvalidManifest: If the host rejects the request, its address is not public, or the file is
            larger than MAX_BYTES.
        MediaUnreachable: If the host gives no usable response.
        NetworkUnavailable: If this machine cannot resolve host names.
    """
    names = NameResolution(reference_host) if reference_host else None
    try:
        with (
            PublicOnlyTransport(allowed_hosts, ssl_context=ssl_context, names=names) as transport,
            RemoteFile(url, transport=transport, download_limit_bytes=MAX_BYTES, limits=limits) as file,
        ):
            if file.size > MAX_BYTES:
                raise manifest_too_large_error()
            file.fetch(0, file.size)
            return file.read()
    except MediaRejected as error:
        raise InvalidManifest(f"cannot download the manifest: {error.message}", hint=error.hint) from None
    except MediaUnreachable as error:
        raise MediaUnreachable(
            f"cannot download the manifest: {error.message}",
            hint="check this machine's network and the manifest's host, then start the batch again",
        ) from None
