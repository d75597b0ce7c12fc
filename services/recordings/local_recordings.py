"""Local recordings of a command: checked and digested first, then uploaded, each file once.

The address of a recording is known before its upload, because it contains the digest. So rows are validated and
compared, and a dry run ends, before anything is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from media.local.checker import check_local_file
from media.local.files import LocalFile, changed_error, open_local_file, require_unchanged, sha256_of
from media.stores.object_writer import ContentChanged, ObjectWriter
from models.errors import InvalidRequest, MediaUnreachable
from models.media.image_facts import ImageFacts
from models.media.report import MediaReport
from models.media.rules import MediaRole
from models.reason import Reason
from models.recordings.addresses import SourcePrefix
from models.recordings.local_paths import file_url_problem, is_local_path
from models.recordings.uploads import CONTENT_TYPES, object_name
from models.settings import Settings
from store.uploads import UploadRepository

MAX_CONCURRENT_UPLOADS = 2
"""Files uploaded at a time; each sends several parts at a time."""
UPLOAD_URL_HINT = (
    "set AVATARS_UPLOAD_URL to a folder of a bucket, for example s3://BUCKET/recordings/, or upload the file "
    "yourself and pass its address"
)
_DRY_RUN_FOLDER = SourcePrefix("s3", "avatars-upload-url-is-not-set", ())


class UploadObserver(Protocol):
    """What shows the progress of the uploads. `shown` is the path of a file."""

    def checking(self, shown: str, size_bytes: int) -> None:
        """A file is about to be read."""

    def uploading(self, shown: str, size_bytes: int, uri: str) -> Callable[[int], None]:
        """Return what gets the number of bytes that were sent; a file is about to be sent."""

    def uploaded(self, shown: str, uri: str) -> None:
        """A file is complete in the store."""

    def found(self, shown: str, uri: str) -> None:
        """A file was complete in the store before."""


AnyObserver = TypeVar("AnyObserver", bound=UploadObserver)


@dataclass(frozen=True)
class _Recording:
    """A local file with its digest, and the field that named it first."""

    file: LocalFile
    field: str
    sha256: str
    uri: str


class LocalRecordings(Generic[AnyObserver]):
    """The local files of one command.

    Args:
        settings: The folder of the uploads and the media policy.
        observer: Shows the progress.
        folder: Where relative paths begin; None is the working directory.
        is_dry_run: Nothing will be uploaded, so that AVATARS_UPLOAD_URL need not be set.
    """

    def __init__(
        self,
        settings: Settings,
        observer: AnyObserver,
        *,
        folder: Path | None = None,
        is_dry_run: bool = False,
    ) -> None:
        self.reports: dict[tuple[str, MediaRole], MediaReport] = {}
        """The result of each check, by the address that the recording will have."""
        self.observer = observer
        self._settings = settings
        self._folder = folder
        self._upload_folder = settings.upload_folder or (_DRY_RUN_FOLDER if is_dry_run else None)
        self._digests: dict[tuple[int, ...], str] = {}
        self._checked: dict[tuple[tuple[int, ...], MediaRole], MediaReport] = {}
        self._recordings: dict[str, _Recording] = {}

    def address(self, text: str, role: MediaRole, field: str) -> str:
        """Return the address of a recording: that of the upload for a local path, else the text itself. Blocks.

        Args:
            text: An address, or the path of a local file, which is checked and digested.
            role: What the recording is for.
            field: The field of the request, for errors.

        Raises:
            InvalidRequest: The file cannot be read, breaks an enforced rule, or cannot be uploaded.
        """
        if problem := file_url_problem(text):
            raise InvalidRequest([(field, problem)], hint="pass the path of the file")
        if not is_local_path(text, self._folder):
            return text
        with open_local_file(text, field, self._folder) as (file, descriptor):
            if self._upload_folder is None:  # after an error about a path that leads to no file
                problem = "is a local file, which cannot be uploaded: AVATARS_UPLOAD_URL is not set"
                raise InvalidRequest([(field, problem)], hint=UPLOAD_URL_HINT)
            report = self._check(file, descriptor, role, field)
            if (digest := self._digests.get(file.state)) is None:
                digest = self._digests[file.state] = sha256_of(descriptor)
            require_unchanged(file, descriptor, field)
        if (facts := report.facts) is None:  # perhaps not a recording, so AVATARS_MEDIA_CHECK does not matter
            raise _rejected(field, role, report.reasons)
        kind = facts.format if isinstance(facts, ImageFacts) else facts.container
        name = object_name(digest, file.path, kind)
        uri = self._upload_folder.address_of(name)
        self.reports[uri, role] = report
        self._recordings.setdefault(uri, _Recording(file, field, digest, uri))
        return uri

    def _check(self, file: LocalFile, descriptor: int, role: MediaRole, field: str) -> MediaReport:
        key = (file.state, role)
        if key not in self._checked:
            self.observer.checking(file.shown, file.size_bytes)
            try:
                self._checked[key] = check_local_file(descriptor, file.shown, role, self._settings.media_policy)
            except MediaUnreachable as error:
                raise InvalidRequest([(field, error.message)], hint=error.hint) from None
        report = self._checked[key]
        if report.reasons and self._settings.avatars_media_check == "strict":
            raise _rejected(field, role, report.reasons)
        return report

    def warnings(self) -> Iterator[str]:
        """Yield what the checks found and no rule enforces."""
        for report in self.reports.values():
            yield from (reason.message for reason in (*report.reasons, *report.warnings))

    def uris(self, addresses: Iterable[str]) -> set[str]:
        """Return those of the addresses that are local files of this command."""
        return self._recordings.keys() & set(addresses)

    async def upload(self, uris: Collection[str], uploads: UploadRepository, actor: str) -> None:
        """Upload local files of this command that are not complete in the store yet.

        Args:
            uris: The addresses of the files.
            uploads: Records what is sent.
            actor: Who uploads them, for the record.

        Raises:
            InvalidRequest: A file changed since it was checked.
            StoreUnavailable: The store cannot be reached, or does not accept an object.
            DatabaseError: The ledger cannot be written.
        """
        writer = ObjectWriter(self._settings.avatars_s3_endpoint or "")
        semaphore = asyncio.Semaphore(MAX_CONCURRENT_UPLOADS)

        async def upload(recording: _Recording) -> None:
            async with semaphore:
                await self._upload(recording, writer, uploads, actor)

        try:
            async with asyncio.TaskGroup() as group:
                for uri in sorted(uris):
                    group.create_task(upload(self._recordings[uri]))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None  # it cancelled the others

    async def _upload(
        self, recording: _Recording, writer: ObjectWriter, uploads: UploadRepository, actor: str
    ) -> None:
        file, uri = recording.file, recording.uri
        is_recorded = await uploads.is_recorded(uri)
        if is_recorded:
            await uploads.begin(uri, recording.sha256, file.size_bytes, actor)
        if await writer.find_size(uri) == file.size_bytes:
            if is_recorded:  # otherwise it is not ours, and is never deleted
                await uploads.complete(uri)
            self.observer.found(file.shown, uri)
            return
        await uploads.begin(uri, recording.sha256, file.size_bytes, actor)
        with open_local_file(str(file.path), recording.field) as (opened, descriptor):
            if opened.state != file.state:
                raise changed_error(file, recording.field)
            try:
                await writer.upload(
                    uri,
                    descriptor,
                    sha256=recording.sha256,
                    size_bytes=file.size_bytes,
                    content_type=CONTENT_TYPES[f".{uri.rpartition('.')[2]}"],
                    on_sent=self.observer.uploading(file.shown, file.size_bytes, uri),
                )
            except ContentChanged:
                raise changed_error(file, recording.field) from None
        await uploads.complete(uri)
        self.observer.uploaded(file.shown, uri)


def refuse_path_of_remote_manifest(text: str, role: MediaRole, field: str) -> str:  # noqa: ARG001  # a ResolvePath
    """Return an address. Raises InvalidRequest for a path: a foreign manifest must not choose files to upload."""
    if file_url_problem(text) or is_local_path(text):
        problem = "must be an address: a manifest from the network may not name local files"
        raise InvalidRequest([(field, problem)], hint="download the manifest, look at its paths, and use the copy")
    return text


def _rejected(field: str, role: MediaRole, reasons: list[Reason]) -> InvalidRequest:
    if len(reasons) == 1:
        return InvalidRequest([(field, reasons[0].message)], hint=reasons[0].hint)
    problems = [(field, "; ".join(filter(None, (reason.message, reason.hint)))) for reason in reasons]
    return InvalidRequest(problems, hint=f"`avatars check --role {role} FILE` shows the result of each rule")
