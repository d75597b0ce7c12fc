"""What the commands do with local recordings: check them, upload them, and use their addresses instead."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cli.console import print_status
from cli.flow_runner import require_key_source
from cli.upload_display import UploadDisplay
from models.clock import SystemClock
from models.errors import DatabaseError, InvalidRequest
from models.manifest.formats import split_location
from models.provisioning import Status
from models.recordings.addresses import source_problem
from models.recordings.local_paths import file_url_problem, is_local_path
from models.request import AnyRequest, AvatarRequest
from models.request_kinds import RECORDING_ROLES
from models.request_sources import require_allowed
from models.settings import Settings
from models.text.plural import counted
from services.recordings.local_recordings import LocalRecordings
from services.recordings.uploads import delete_finished_uploads
from services.store import Store, open_store
from store.ledger import Ledger

_KEPT_STATUSES = {Status.READY, Status.REFUSED}
"""Argil has the recordings of these, so that running a command again needs no upload."""


def has_local_recordings(fields: Mapping[str, Any]) -> bool:
    """Whether a recording among the fields of a request is written as a path."""
    texts = [fields.get(field) for field in RECORDING_ROLES]
    return any(isinstance(text, str) and (is_local_path(text) or file_url_problem(text)) for text in texts)


def parse_and_upload(
    fields: Mapping[str, Any],
    parse: Callable[[Mapping[str, Any]], AnyRequest],
    check: Callable[[AnyRequest], None],
    command: str,
    settings: Settings,
) -> AnyRequest:
    """Return the validated request; its local recordings are uploaded, after everything was checked.

    Args:
        fields: The fields of the request, with addresses or paths.
        parse: Validates fields with addresses; raises InvalidRequest.
        check: Raises an error if the valid request must not be uploaded.
        command: The command, for the record of the uploads.
        settings: The settings of this process.

    Raises:
        InvalidRequest: All problems of the fields and the files; nothing was uploaded.
        StoreUnavailable: The store cannot be reached, or does not accept an object.
        DatabaseError: The ledger cannot be read or written.
    """
    local = LocalRecordings(settings, UploadDisplay())
    resolved, error = _resolve(local, fields)
    problems = error.problems if error else []
    broken = {field for field, _ in problems}
    try:
        request = parse(resolved)
    except InvalidRequest as other:
        problems = [*problems, *(problem for problem in other.problems if problem[0] not in broken)]
        raise InvalidRequest(problems, hint=(error or other).hint) from None
    if error is not None:
        raise error
    check(request)
    upload_recordings(local, [request], command, settings)
    return request


def upload_fields(fields: Mapping[str, str], command: str, settings: Settings) -> dict[str, str]:
    """Return the recordings of a retrain as addresses, after the local ones were uploaded.

    Raises:
        InvalidRequest: All problems of the files; nothing was uploaded.
        StoreUnavailable: The store cannot be reached, or does not accept an object.
        DatabaseError: The ledger cannot be written.
    """
    require_key_source(settings)
    local = LocalRecordings(settings, UploadDisplay())
    resolved, error = _resolve(local, fields)
    if error is not None:
        raise error
    require_allowed({field: address for field, address in resolved.items() if address}, settings.sources)
    _upload(local, lambda _store: _all(local.uris(resolved.values())), command, settings)
    return resolved


def _resolve(
    local: LocalRecordings[UploadDisplay], fields: Mapping[str, Any]
) -> tuple[dict[str, Any], InvalidRequest | None]:
    """Return the fields with addresses instead of paths, and the error with the problems of all files."""
    errors: list[InvalidRequest] = []
    resolved = dict(fields)
    for field, role in RECORDING_ROLES.items():
        if text := fields.get(field):
            try:
                resolved[field] = local.address(text, role, field)
            except InvalidRequest as error:
                errors.append(error)
    return resolved, _joined(errors)


def _joined(errors: Sequence[InvalidRequest]) -> InvalidRequest | None:
    """Return one error with all problems; a problem whose remedy is not that of all names its own."""
    problems: list[tuple[str, str]] = []
    hints = {error.hint for error in errors}
    for error in errors:
        remedy = f"; {error.hint}" if len(hints) > 1 and len(error.problems) == 1 else ""
        problems += [(field, f"{rule}{remedy}") for field, rule in error.problems]
    hint = next((error.hint for error in errors if len(hints) == 1 or len(error.problems) > 1), "")
    return InvalidRequest(problems, hint=hint) if problems else None


def upload_recordings(
    local: LocalRecordings[UploadDisplay], requests: Iterable[AvatarRequest], command: str, settings: Settings
) -> None:
    """Upload the local recordings of these requests, each once. Raises as `parse_and_upload` does."""

    async def needed(store: Store) -> set[str]:
        uris: set[str] = set()
        for request in requests:
            own = local.uris(request.recordings.values())
            is_allowed = not any(source_problem(each, settings.sources) for each in request.recordings.values())
            if own and is_allowed and not await _is_kept(store.ledger, request):
                uris |= own
        return uris

    _upload(local, needed, command, settings)


def _upload(
    local: LocalRecordings[UploadDisplay],
    needed: Callable[[Store], Awaitable[set[str]]],
    command: str,
    settings: Settings,
) -> None:
    for warning in local.warnings():
        print_status(f"! {warning}")

    async def upload() -> None:
        async with open_store(settings, SystemClock()) as store:
            if uris := await needed(store):
                await local.upload(uris, store.uploads, f"{command} ({_user()})")

    with local.observer:
        asyncio.run(upload())


async def _all(uris: set[str]) -> set[str]:
    return uris


async def _is_kept(ledger: Ledger, request: AvatarRequest) -> bool:
    """Whether the ledger has the outcome of this request, so that nothing is sent for it."""
    recorded = await ledger.find_recorded(request)
    return recorded is not None and (recorded.status in _KEPT_STATUSES or recorded.erased_at is not None)


def delete_finished(settings: Settings) -> None:
    """Delete the uploads that are no longer needed, if AVATARS_UPLOAD_DELETE is true. A failure is printed."""
    if not settings.avatars_upload_delete:
        return

    async def delete() -> int:
        async with open_store(settings, SystemClock()) as store:
            return await delete_finished_uploads(store.uploads, settings)

    try:
        if count := asyncio.run(delete()):
            print_status(f"{counted(count, 'upload')} deleted, no longer needed")
    except DatabaseError as error:
        print_status(f"! no upload was deleted: {error.message}")


def manifest_folder(manifest: str) -> Path:
    """Return the folder in which the relative paths of a manifest begin."""
    try:
        return (Path.cwd() / Path(split_location(manifest).path_or_url).expanduser()).parent
    except RuntimeError:
        return Path.cwd()  # an unknown user after ~, which is an error when the manifest is read


def _user() -> str:
    with contextlib.suppress(OSError, KeyError):  # a container may run as a user without a name
        return getpass.getuser()
    return "unknown user"
