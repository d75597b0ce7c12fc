"""Local recordings of a command against an S3 server: checked, uploaded once, recorded, and deleted."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from media.manifest_loader import load_manifest
from models.clock import SystemClock
from models.errors import InvalidRequest, StoreUnavailable
from models.manifest.manifest import ManifestOptions
from models.media.rules import MediaRole
from models.provisioning import LeaseOwner, Status
from models.recordings.uploads import may_be_upload
from models.request import ProvisioningRequest
from models.settings import Settings
from services.erasure import erase_provisioning
from services.recordings.local_recordings import LocalRecordings, UploadObserver, refuse_path_of_remote_manifest
from services.recordings.uploads import MAX_FAILURES, delete_finished_uploads, erase_uploads
from services.store import Store, open_store
from simulator.sample_videos import ensure_sample
from tests.media.image_files import encode, png
from tests.media.test_voice_samples import mp3
from tests.s3_server import S3Request, S3Server, running_s3_server

pytestmark = pytest.mark.system  # the server and its signatures take over 5 seconds in all

DATASET, CONSENT = MediaRole.DATASET, MediaRole.CONSENT


class RecordingObserver(UploadObserver):
    """Keeps its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.sent = 0

    def checking(self, shown: str, size_bytes: int) -> None:  # noqa: ARG002  # the protocol's
        self.calls.append(f"checking {shown}")

    def uploading(self, shown: str, size_bytes: int, uri: str) -> Callable[[int], None]:  # noqa: ARG002  # as above
        self.calls.append(f"uploading {shown}")
        return self._count

    def _count(self, size: int) -> None:
        self.sent += size

    def uploaded(self, shown: str, uri: str) -> None:  # noqa: ARG002  # as above
        self.calls.append(f"uploaded {shown}")

    def found(self, shown: str, uri: str) -> None:  # noqa: ARG002  # as above
        self.calls.append(f"found {shown}")


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with running_s3_server() as server:
        server.create_bucket("uploads")
        yield server


@pytest.fixture
def server(running: S3Server) -> Iterator[S3Server]:
    running.requests.clear()
    yield running
    running.before_request = None
    running.denied.clear()
    for key in list(running.sizes("uploads")):
        running.delete("uploads", key)


@pytest.fixture
def folder(tmp_path: Path, sample_folder: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    for source, name in (("dataset.mp4", "Ada Lovelace.MOV"), ("consent.mp4", "consent.mp4")):
        ensure_sample(source, sample_folder)
        (tmp_path / name).write_bytes((sample_folder / source).read_bytes())
    monkeypatch.chdir(tmp_path)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AVATARS_UPLOAD_URL", "s3://uploads/people/")
    monkeypatch.setenv("AVATARS_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}")
    return tmp_path


@pytest.fixture
async def store(folder: Path, empty_ledger: Path) -> AsyncIterator[Store]:
    shutil.copyfile(empty_ledger, folder / "ledger.db")
    async with open_store(Settings.load(), SystemClock()) as opened:
        yield opened


def local_recordings(**options: Any) -> LocalRecordings[RecordingObserver]:
    return LocalRecordings(Settings.load(), RecordingObserver(), **options)


def expected_uri(path: Path, suffix: str) -> str:
    return f"s3://uploads/people/{hashlib.sha256(path.read_bytes()).hexdigest()}{suffix}"


async def upload(store: Store) -> tuple[LocalRecordings[RecordingObserver], str]:
    local = local_recordings()
    uri = local.address("Ada Lovelace.MOV", DATASET, "dataset_video")
    await local.upload([uri], store.uploads, "test")
    return local, uri


async def test_file_is_uploaded_under_its_digest_and_recorded(store: Store, server: S3Server, folder: Path) -> None:
    local, uri = await upload(store)
    assert uri == expected_uri(folder / "Ada Lovelace.MOV", ".mov")
    key = uri.removeprefix("s3://uploads/")
    assert server.read("uploads", key) == (folder / "Ada Lovelace.MOV").read_bytes()
    [recorded] = await store.uploads.unused_uploads(9)
    assert (recorded.uri, recorded.actor, recorded.size_bytes) == (uri, "test", local.observer.sent)
    assert recorded.completed_at is not None
    assert local.observer.calls == [f"{verb} Ada Lovelace.MOV" for verb in ("checking", "uploading", "uploaded")]
    assert Settings.load().sources  # the folder of the uploads is a source itself


@pytest.mark.parametrize(
    ("name", "data", "role", "suffix"),
    [
        ("ada.JPEG", encode("JPEG"), MediaRole.IMAGE, ".jpg"),
        ("really-a-png.jpg", png(), MediaRole.IMAGE, ".png"),
        ("ada.m4a", b"\x00\x00\x00\x20ftypM4A " + bytes(1000), MediaRole.VOICE_SAMPLE, ".m4a"),
        ("ada.mp3", mp3(25), MediaRole.VOICE_SAMPLE, ".mp3"),
    ],
)
async def test_image_and_voice_sample_are_uploaded_with_the_suffix_of_their_kind(
    store: Store, server: S3Server, folder: Path, name: str, data: bytes, role: MediaRole, suffix: str
) -> None:
    (folder / name).write_bytes(data)
    local = local_recordings()
    uri = local.address(name, role, "image")
    assert uri == expected_uri(folder / name, suffix)
    await local.upload([uri], store.uploads, "test")
    assert server.read("uploads", uri.removeprefix("s3://uploads/")) == data
    assert may_be_upload(uri)


async def test_image_that_breaks_a_rule_is_not_uploaded(folder: Path, server: S3Server) -> None:
    (folder / "square.png").write_bytes(png(720, 720))
    with pytest.raises(InvalidRequest, match="16:9"):
        local_recordings().address("square.png", MediaRole.IMAGE, "image")
    with pytest.raises(InvalidRequest, match="not a PNG, JPEG or WEBP image"):
        local_recordings().address("consent.mp4", MediaRole.IMAGE, "image")
    assert server.requests == []


async def test_complete_object_is_not_sent_again(store: Store, server: S3Server) -> None:
    await upload(store)
    count = server.count("PUT")
    local, _ = await upload(store)
    assert server.count("PUT") == count
    assert local.observer.calls[-1] == "found Ada Lovelace.MOV"


async def test_object_of_another_size_is_replaced(store: Store, server: S3Server) -> None:
    _, uri = await upload(store)
    key = uri.removeprefix("s3://uploads/")
    server.put("uploads", key, b"damaged")
    await upload(store)
    assert server.sizes("uploads")[key] > 7


async def test_object_of_others_is_used_and_never_deleted(
    store: Store, server: S3Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "Ada Lovelace.MOV"
    key = expected_uri(path, ".mov").removeprefix("s3://uploads/")
    server.put("uploads", key, path.read_bytes())
    await upload(store)
    assert await store.uploads.unused_uploads(9) == []
    assert server.count("PUT") == 0


async def test_one_file_of_many_names_is_uploaded_once(store: Store, server: S3Server, folder: Path) -> None:
    (folder / "copy.mov").write_bytes((folder / "Ada Lovelace.MOV").read_bytes())
    local = local_recordings()
    names = ("Ada Lovelace.MOV", "./Ada Lovelace.MOV", str(folder / "Ada Lovelace.MOV"), "copy.mov")
    [uri] = {local.address(name, DATASET, "dataset_video") for name in names}
    await local.upload({uri}, store.uploads, "test")
    assert server.count("PUT") == 1
    assert [call for call in local.observer.calls if call.startswith("checking")] == [
        "checking Ada Lovelace.MOV",
        "checking copy.mov",
    ]


async def test_file_that_changes_before_or_during_the_upload_is_refused(
    store: Store, server: S3Server, folder: Path
) -> None:
    path = folder / "Ada Lovelace.MOV"
    data = path.read_bytes()
    path.write_bytes(data + b"\0\0\0\x08free" + b"\0\0\0\x08free")
    facts = path.stat()
    local = local_recordings()
    uri = local.address("Ada Lovelace.MOV", DATASET, "dataset_video")

    def change(request: S3Request) -> None:
        if request.method == "POST":  # the upload begins; size and times stay
            path.write_bytes(data + b"\0\0\0\x10free" + b"changed!")
            os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    server.before_request = change
    with pytest.raises(InvalidRequest, match="it changed since it was checked"):
        await local.upload([uri], store.uploads, "test")
    assert server.sizes("uploads") == {}
    assert server.open_uploads("uploads") == []
    server.before_request = None
    path.write_bytes(data)
    with pytest.raises(InvalidRequest, match="it changed since it was checked"):
        await local.upload([uri], store.uploads, "test")
    assert server.sizes("uploads") == {}


async def test_store_error_names_the_setting_and_the_upload_stays_on_record(store: Store, server: S3Server) -> None:
    server.denied.add("uploads")
    with pytest.raises(StoreUnavailable) as caught:
        await upload(store)
    assert "AVATARS_UPLOAD_URL" in caught.value.hint
    server.denied.clear()

    def deny(request: S3Request) -> None:
        if request.method == "PUT":
            server.denied.add("uploads")

    server.before_request = deny
    with pytest.raises(StoreUnavailable):
        await upload(store)
    [recorded] = await store.uploads.unused_uploads(9)
    assert recorded.completed_at is None


async def test_two_commands_that_upload_the_same_file_both_succeed(store: Store, server: S3Server) -> None:
    barrier = threading.Barrier(2, timeout=30)
    first, second = local_recordings(), local_recordings()
    uri = first.address("Ada Lovelace.MOV", DATASET, "dataset_video")
    assert second.address("Ada Lovelace.MOV", DATASET, "dataset_video") == uri

    def wait_for_both(request: S3Request) -> None:
        if request.method == "POST":
            barrier.wait()

    server.before_request = wait_for_both
    await asyncio.gather(first.upload([uri], store.uploads, "first"), second.upload([uri], store.uploads, "second"))
    assert len(server.sizes("uploads")) == 1


async def test_rows_of_a_manifest_have_paths_relative_to_it(
    folder: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = folder / "people.csv"
    manifest.write_text(
        "name,dataset_video,consent_video\n"
        "Ada,Ada Lovelace.MOV,./consent.mp4\n"
        f"Bob,{folder}/Ada Lovelace.MOV,consent.mp4\n"
        "Eve,none.mp4,file:///consent.mp4\n"
        "Max,consent.mp4,consent.mp4\n"
        "Tom,https://h.example/d.mp4,nothing\n"
    )
    monkeypatch.chdir("/")
    local = LocalRecordings(Settings.load(), RecordingObserver(), folder=folder, is_dry_run=True)
    rows = load_manifest(str(manifest), options=ManifestOptions(resolve_path=local.address)).rows
    requests = [row.request for row in rows]
    assert requests[0] is not None
    assert requests[1] is not None
    assert requests[0].recordings == requests[1].recordings
    assert requests[0].recordings[DATASET] == expected_uri(folder / "Ada Lovelace.MOV", ".mov")
    assert requests[2:] == [None, None, None]
    messages = [[problem.message for problem in row.problems] for row in rows[2:]]
    assert "No such file" in messages[0][0]
    assert "not a file: URL" in messages[0][1]
    assert "at least 60 seconds" in messages[1][0]
    assert len(messages[1]) == 1
    assert [problem.hint for problem in rows[3].problems] == ["record at least 60 seconds"]
    assert "check the path" in rows[2].problems[0].hint
    assert "must begin with https://" in messages[2][0]
    assert server.requests == []


async def test_file_that_is_not_a_recording_is_never_uploaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "secrets").write_text("canary-secret")
    for level in ("strict", "warn", "off"):
        monkeypatch.setenv("AVATARS_MEDIA_CHECK", level)
        with pytest.raises(InvalidRequest) as caught:
            local_recordings().address("./secrets", DATASET, "dataset_video")
        assert "canary" not in str(caught.value)


async def test_warn_accepts_a_recording_that_breaks_a_rule(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRequest, match="at least 60 seconds"):
        local_recordings().address("consent.mp4", DATASET, "dataset_video")
    monkeypatch.setenv("AVATARS_MEDIA_CHECK", "warn")
    local = local_recordings()
    assert local.address("consent.mp4", DATASET, "dataset_video").startswith("s3://uploads/people/")
    assert "at least 60 seconds" in "".join(local.warnings())


async def test_without_upload_url_only_a_dry_run_accepts_paths(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AVATARS_UPLOAD_URL")
    with pytest.raises(InvalidRequest, match="AVATARS_UPLOAD_URL is not set") as caught:
        local_recordings().address("consent.mp4", CONSENT, "consent_video")
    assert "AVATARS_UPLOAD_URL" in caught.value.hint
    with pytest.raises(InvalidRequest) as missing:
        local_recordings().address("no-such-file.mp4", CONSENT, "consent_video")
    assert "AVATARS_UPLOAD_URL" not in str(missing.value)  # the bucket would not help
    assert local_recordings(is_dry_run=True).address("consent.mp4", CONSENT, "consent_video")


def test_manifest_from_the_network_may_not_name_files(folder: Path) -> None:
    assert refuse_path_of_remote_manifest("s3://uploads/a.mp4", DATASET, "dataset_video") == "s3://uploads/a.mp4"
    for text in ("/etc/passwd", "consent.mp4", "file:///etc/passwd"):
        with pytest.raises(InvalidRequest, match="may not name local files"):
            refuse_path_of_remote_manifest(text, DATASET, "dataset_video")


async def test_deletion_needs_the_setting_and_finished_provisionings(
    store: Store, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, uri = await upload(store)
    assert await erase_uploads("none", store.uploads, Settings.load()) == ([], [])
    monkeypatch.setenv("AVATARS_UPLOAD_DELETE", "true")
    assert await delete_finished_uploads(store.uploads, Settings.load()) == 0
    assert uri.removeprefix("s3://uploads/") in server.sizes("uploads")


async def named_and_erased(store: Store, *uris: str) -> str:
    """Record uploads that one erased provisioning names, and return its id."""
    owner = LeaseOwner(actor="test", id="1")
    for uri in uris:
        await store.uploads.begin(uri, uri.rpartition("/")[2].partition(".")[0], 9, "test")
    provisioning_id = ""
    for dataset, consent in zip(uris[::2], uris[1::2], strict=True):
        request = ProvisioningRequest(name="Ada", dataset_video=dataset, consent_video=consent)
        caller = LeaseOwner(actor="test", id=dataset)
        provisioning, _ = await store.ledger.get_or_create(request, "ada-1", caller)  # replaces the earlier one
        provisioning_id = provisioning.id
    await store.ledger.transition(
        await store.ledger.get(provisioning_id), owner, "stopped", new_status=Status.CANCELLED
    )
    await erase_provisioning(store.ledger, SystemClock(), provisioning_id, owner)
    return provisioning_id


def uris_with_objects(server: S3Server, count: int) -> list[str]:
    digests = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(count)]
    for digest in digests:
        server.put("uploads", f"people/{digest}.mp4", b"x")
    return [f"s3://uploads/people/{digest}.mp4" for digest in digests]


async def test_objects_that_cannot_be_deleted_do_not_starve_the_others(
    store: Store, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVATARS_UPLOAD_DELETE", "true")
    monkeypatch.setattr("services.recordings.uploads.MAX_DELETIONS", 4)
    *locked, free = uris_with_objects(server, 8)
    server.denied |= {uri.removeprefix("s3://") for uri in locked}
    await named_and_erased(store, *locked, free)
    while free.removeprefix("s3://uploads/") in server.sizes("uploads"):  # ends: each pass begins somewhere else
        before = len(server.requests)
        await delete_finished_uploads(store.uploads, Settings.load())
        assert len(server.requests) - before <= MAX_FAILURES + 1
    assert {f"s3://uploads/{key}" for key in server.sizes("uploads")} == {*locked}


async def test_erasure_reports_the_uploads_that_a_store_does_not_delete(
    store: Store, server: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AVATARS_UPLOAD_DELETE", "true")
    uris = sorted(uris_with_objects(server, 2))
    provisioning_id = await named_and_erased(store, *uris)
    server.denied.add("uploads")
    assert await erase_uploads(provisioning_id, store.uploads, Settings.load()) == ([], uris)
    assert caplog.text.count("an upload is not deleted") == 2
    assert "canary" not in caplog.text
    assert len(server.sizes("uploads")) == 2
    server.denied.clear()
    server.delete("uploads", uris[0].removeprefix("s3://uploads/"))  # by a person, meanwhile
    assert await erase_uploads(provisioning_id, store.uploads, Settings.load()) == (uris, [])
    assert server.sizes("uploads") == {}
    assert await erase_uploads(provisioning_id, store.uploads, Settings.load()) == ([], [])


async def test_store_that_does_not_answer_holds_up_a_deletion_for_seconds_only(
    store: Store, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVATARS_UPLOAD_DELETE", "true")
    monkeypatch.setattr("media.stores.object_writer.REQUEST_TIMEOUT", timedelta(seconds=1))
    monkeypatch.setattr("media.stores.construction.RETRY_TIMEOUT", timedelta(seconds=1))
    uris = sorted(uris_with_objects(server, 2))
    provisioning_id = await named_and_erased(store, *uris)
    answered = threading.Event()

    def hang(_: S3Request) -> None:
        answered.wait(60)

    server.before_request = hang
    try:
        assert await erase_uploads(provisioning_id, store.uploads, Settings.load()) == ([], uris)
    finally:
        answered.set()
