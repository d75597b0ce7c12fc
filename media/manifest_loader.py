"""Loads a manifest from a file, an HTTPS URL or a Google Sheets link: through the SSRF guard, and within limits.

The user of a command may read any file. A caller of the Prefect API may not: it would read the files of the worker.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from media.remote.fetch_limits import FetchLimits
from media.remote.name_resolution import NameResolution
from media.remote.remote_file import RemoteFile
from media.remote.ssrf_guard import PublicOnlyTransport
from media.spreadsheets.reader import read_spreadsheet
from models.environment.regular_files import FileTooLarge, OutsideFolder, read_file_below, read_regular_file
from models.errors import InvalidManifest, MediaRejected, MediaUnreachable, NetworkUnavailable, SettingsError
from models.manifest.formats import (
    SHEET_FORMATS,
    Location,
    detect_format,
    format_of_name,
    refuse_foreign_format,
    split_location,
)
from models.manifest.google_sheets import export_url
from models.manifest.manifest import (
    DEFAULT_OPTIONS,
    Manifest,
    ManifestOptions,
    manifest_too_large_error,
    parse_manifest,
    parse_table,
)
from models.manifest.rows import MAX_BYTES
from models.recordings.canonical_form import split_url
from models.recordings.object_store_uris import URI_SCHEMES
from models.recordings.recording_secrets import protect_urls
from models.text.url_redaction import redact_url

# The first range, the rest, and room for retries and redirects of both.
MANIFEST_FETCH_LIMITS = FetchLimits(max_requests=24, max_bytes=2 * MAX_BYTES, timeout_seconds=120.0)


def load_manifest(
    path_or_url: str,
    *,
    options: ManifestOptions = DEFAULT_OPTIONS,
    allowed_hosts: Collection[str] = (),
    reference_host: str | None = None,
) -> Manifest:
    """Read and parse a manifest for the user who runs this process. Blocks; call it from a thread.

    Args:
        path_or_url: The path of any local file, an HTTPS URL, or a link to Google Sheets. `#SHEET` after the suffix
            of a workbook names a sheet.
        options: What the caller says about its format and columns.
        allowed_hosts: Hosts that need not have a public address.
        reference_host: Tells an unknown host from a machine without DNS; see `models.environment.reference_host`.

    Raises:
        InvalidManifest: If the manifest cannot be read, is not a regular file, is too large or cannot be parsed.
        MediaUnreachable: If the host of the URL gives no usable response.
        NetworkUnavailable: If this machine cannot resolve host names.
    """
    if "://" in path_or_url:
        return _load_url(path_or_url, options, allowed_hosts, reference_host)
    return _load_file(path_or_url, options, lambda path: read_regular_file(Path(path).expanduser(), MAX_BYTES))


def load_manifest_of_run(
    path_or_url: str,
    *,
    folder: Path | None,
    options: ManifestOptions = DEFAULT_OPTIONS,
    allowed_hosts: Collection[str] = (),
    reference_host: str | None = None,
) -> Manifest:
    """Read and parse a manifest for a run over the Prefect API, whose caller is perhaps not a user of this machine.

    Args:
        path_or_url: An HTTPS URL, a link to Google Sheets, or a path below `folder`, to which relative paths refer.
        folder: AVATARS_MANIFEST_DIR; None: only URLs are read.
        options: As for `load_manifest`.
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
        return _load_url(path_or_url, options, allowed_hosts, reference_host)
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
        return _load_file(path_or_url, options, lambda path: read_file_below(folder, path, MAX_BYTES))
    except OutsideFolder:
        raise InvalidManifest(
            f"the manifest {redact_url(path_or_url)!r} is not below AVATARS_MANIFEST_DIR",
            hint="move it into that folder, or pass an HTTPS URL or `rows`",
        ) from None


def _load_url(
    text: str, options: ManifestOptions, allowed_hosts: Collection[str], reference_host: str | None
) -> Manifest:
    try:
        sheets_url = export_url(text, allowed_hosts)
        url, sheet = (sheets_url, None) if sheets_url else split_location(text)
        path = split_url(url).path
    except ValueError:
        raise InvalidManifest(f"{redact_url(text)} is not a valid URL", hint="check it for typos") from None
    if text.partition("://")[0].lower() in URI_SCHEMES:
        raise InvalidManifest(
            f"{redact_url(text)} is the URI of an object, which is not read",
            hint="pass a presigned HTTPS URL of it",
        )
    if "#" in url:
        raise InvalidManifest(
            f"{redact_url(url)} is cut at a #", hint="in the name of a file it must be written %23"
        )
    if options.format_name is None:
        format_of_name(path)  # what is certainly no manifest is not downloaded
    with protect_urls([url]):
        data, content_type = download_manifest(url, allowed_hosts=allowed_hosts, reference_host=reference_host)
    return parse_bytes(data, Location(path, unquote(sheet) if sheet else None), options, content_type)


def _load_file(text: str, options: ManifestOptions, read: Callable[[str], bytes]) -> Manifest:
    location = split_location(text)
    if options.format_name is None:
        format_of_name(location.path_or_url)
    try:
        data = read(location.path_or_url)
    except OutsideFolder:
        raise
    except FileTooLarge:
        raise manifest_too_large_error() from None
    except (OSError, ValueError, RuntimeError) as error:
        cause = getattr(error, "strerror", None) or "not a valid path"
        name, number_sign, _ = location.path_or_url.partition("#")
        # What follows is not shown: it may be the query of a URL without its scheme.
        shown = f"{redact_url(name)}{number_sign and '#…'}"
        raise InvalidManifest(
            f"cannot read the manifest {shown}: {cause}",
            hint="check the path and the file's permissions; a manifest is a regular file"
            + ("; a sheet is named after .xlsx or .ods only, as in FILE.xlsx#Sheet1" if number_sign else ""),
        ) from None
    return parse_bytes(data, location, options)


def parse_bytes(
    data: bytes, location: Location, options: ManifestOptions = DEFAULT_OPTIONS, content_type: str = ""
) -> Manifest:
    """Parse the content of a manifest in any format.

    Args:
        data: The content.
        location: Its path, which tells the format, and the sheet.
        options: What the caller says about it.
        content_type: The Content-Type of the response, empty for a file.

    Raises:
        InvalidManifest: The content cannot be parsed.
    """
    manifest = _parse(data, location, options, content_type)
    return replace(manifest, sha256=hashlib.sha256(data).hexdigest())


def _parse(data: bytes, location: Location, options: ManifestOptions, content_type: str) -> Manifest:
    form = options.format_name or detect_format(location.path_or_url, data, content_type)
    if form in SHEET_FORMATS:
        refuse_foreign_format(data)
        return parse_table(read_spreadsheet(data, location.sheet), options)
    if location.sheet is not None:
        raise InvalidManifest(
            f"the manifest {redact_url(location.path_or_url)} is {form} and has no sheets",
            hint="omit # and the name",
        )
    return parse_manifest(data, form, options)


def download_manifest(
    url: str,
    *,
    allowed_hosts: Collection[str] = (),
    reference_host: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    limits: FetchLimits = MANIFEST_FETCH_LIMITS,
) -> tuple[bytes, str]:
    """Return the file at an HTTPS URL and its Content-Type. Blocks; call it from a thread.

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
            return file.read(), file.content_type
    except MediaRejected as error:
        raise InvalidManifest(f"cannot download the manifest: {error.message}", hint=error.hint) from None
    except (MediaUnreachable, NetworkUnavailable) as error:
        raise type(error)(
            f"cannot download the manifest: {error.message}",
            hint="check this machine's network and the manifest's host, then start the batch again",
        ) from None
