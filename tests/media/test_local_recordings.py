"""Local recordings: which files are opened, and that they are checked as remote ones are."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from pathlib import Path

import pytest

from media.checker import MediaChecker
from media.local.checker import check_local_file
from media.local.files import open_local_file, require_unchanged, sha256_of
from media.local.transport import LOCAL_URL
from models.errors import InvalidRequest, MediaUnreachable
from models.media.report import MediaReport
from models.media.rules import DEFAULT_MEDIA_POLICY, MAX_IMAGE_BYTES, MediaRole
from models.recordings.local_paths import file_url_problem, is_local_path
from simulator.media_host import MediaHost
from simulator.sample_videos import ensure_sample
from tests.media.image_files import encode, padded_png, png
from tests.media.test_voice_samples import mp3


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def check(path: Path, role: MediaRole = MediaRole.DATASET) -> MediaReport:
    with open_local_file(str(path), "recording") as (file, descriptor):
        return check_local_file(descriptor, file.shown, role, DEFAULT_MEDIA_POLICY)


def problem(text: str, folder: Path | None = None) -> str:
    with pytest.raises(InvalidRequest) as caught, open_local_file(text, "dataset_video", folder):
        pass
    [(field, rule)] = caught.value.problems
    assert field == "dataset_video"
    assert caught.value.hint
    return rule


@pytest.mark.parametrize("name", ["dataset.mp4", "dataset-1.4gb.mp4", "dataset-40s.mp4", "consent-45s.mp4"])
async def test_local_and_remote_check_have_equal_results(
    name: str, videos: MediaHost, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(videos.ca_file))
    with MediaChecker(allowed_hosts=["127.0.0.1"]) as checker:
        remote = await checker.check(videos.url(name), MediaRole.DATASET)
    local = check(sample_folder / name)
    assert remote.facts is not None
    assert local.facts == remote.facts.model_copy(update={"etag": None})
    assert local.checks == remote.checks
    assert local.bytes_fetched == remote.bytes_fetched


@pytest.mark.parametrize(
    ("name", "data", "role"),
    [
        ("good.png", png(), MediaRole.IMAGE),
        ("square.jpg", encode("JPEG", 720, 720), MediaRole.IMAGE),
        ("cut.png", png()[:-40], MediaRole.IMAGE),
        ("page.png", b"<!doctype html><html></html>", MediaRole.IMAGE),
        ("huge.png", padded_png(MAX_IMAGE_BYTES + 1), MediaRole.IMAGE),
        ("voice.mp3", mp3(25), MediaRole.VOICE_SAMPLE),
        ("voice.txt", b"not audio", MediaRole.VOICE_SAMPLE),
    ],
)
async def test_local_image_and_voice_sample_are_checked_as_remote_ones(
    name: str,
    data: bytes,
    role: MediaRole,
    session_media_host: MediaHost,
    trusting: ssl.SSLContext,
    samples: Path,
) -> None:
    (samples / name).write_bytes(data)
    with MediaChecker(allowed_hosts=["127.0.0.1"], ssl_context=trusting) as checker:
        remote = await checker.check(session_media_host.url(name), role)
    local = check(samples / name, role)
    assert [(row.code, row.passed) for row in local.checks] == [(row.code, row.passed) for row in remote.checks]
    if remote.facts is not None:
        assert local.facts == remote.facts.model_copy(update={"etag": None})
    assert LOCAL_URL not in local.model_dump_json()


def test_page_in_a_local_file_is_rejected_with_its_path(folder: Path) -> None:
    ensure_sample("page.mp4", folder)
    report = check(folder / "page.mp4")
    assert report.facts is None
    [row] = report.checks
    assert row.code == "dataset.not-a-video"
    assert LOCAL_URL not in report.model_dump_json()


def test_truncated_local_file_is_rejected(folder: Path, sample_folder: Path) -> None:
    ensure_sample("dataset.mp4", sample_folder)
    (folder / "part.mp4").write_bytes((sample_folder / "dataset.mp4").read_bytes()[:30_000])
    [row] = check(folder / "part.mp4").checks
    assert not row.passed


def test_file_that_changes_during_the_check_is_noticed(folder: Path, sample_folder: Path) -> None:
    ensure_sample("dataset-1.4gb.mp4", sample_folder)
    path = folder / "growing.mp4"
    os.link(sample_folder / "dataset-1.4gb.mp4", path)

    def grow(*_: object) -> object:
        raise AssertionError("the probe must notice the change first")

    with open_local_file(str(path), "recording") as (file, descriptor):
        from media.local import transport

        original, count = transport.LocalFileTransport.handle_request, 0

        def handle(self: transport.LocalFileTransport, request: object) -> object:
            nonlocal count
            count += 1
            if count == 2:
                os.utime(path, ns=(1, 1))
            return original(self, request)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transport.LocalFileTransport, "handle_request", handle)
            with pytest.raises(MediaUnreachable, match=r"growing\.mp4.*the file changed"):
                check_local_file(descriptor, file.shown, MediaRole.DATASET, DEFAULT_MEDIA_POLICY, inspect=grow)  # type: ignore[arg-type]


def test_only_regular_files_are_opened(folder: Path) -> None:
    (folder / "empty.mp4").touch()
    (folder / "ada.mp4").write_bytes(b"x")
    (folder / "link.mp4").symlink_to("ada.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    os.mkfifo(folder / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.mp4")
        assert "socket" in problem("socket.mp4") or "No such device" in problem("socket.mp4")
    assert "it is empty" in problem("empty.mp4")
    assert "it is a symbolic link" in problem("link.mp4")
    assert "it is a symbolic link" in problem("loop.mp4")
    assert "it is a named pipe" in problem("pipe.mp4")
    assert "it is a device" in problem("/dev/zero")
    assert "it is a folder" in problem(".")
    assert "one of the kernel's" in problem("/proc/self/maps")
    assert "No such file" in problem("none.mp4")
    assert "Not a directory" in problem("ada.mp4/x.mp4")
    assert "not a valid path" in problem("a\0b.mp4")
    assert "not a valid path" in problem("~no-such-user/ada.mp4")
    assert "File name too long" in problem("x" * 300 + ".mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_file_is_refused(folder: Path) -> None:
    (folder / "ada.mp4").write_bytes(b"x")
    (folder / "ada.mp4").chmod(0)
    assert "Permission denied" in problem("ada.mp4")


def test_path_of_a_url_without_scheme_is_shown_without_its_query(folder: Path) -> None:
    assert "canary" not in problem("host.example/ada.mp4?X-Amz-Signature=canary-signature")


def test_path_begins_in_the_folder_or_at_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = folder / "home of ada"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    (home / "ada.mp4").write_bytes(b"x")
    for text, base in (("ada.mp4", home), ("~/ada.mp4", None), ("./home of ada/ada.mp4", None)):
        with open_local_file(text, "recording", base) as (file, _):
            assert file.path.samefile(home / "ada.mp4")


def test_change_after_opening_is_noticed(folder: Path) -> None:
    path = folder / "ada.mp4"
    path.write_bytes(b"x" * 100)
    with open_local_file("ada.mp4", "recording") as (file, descriptor):
        assert sha256_of(descriptor) == hashlib.sha256(b"x" * 100).hexdigest()
        require_unchanged(file, descriptor, "recording")
        with path.open("ab") as other:
            other.write(b"y")
        with pytest.raises(InvalidRequest, match="it changed since it was checked"):
            require_unchanged(file, descriptor, "recording")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("./ada.mov", True),
        ("../ada", True),
        ("~/ada.mov", True),
        ("/srv/ada", True),
        ("ada.MOV", True),
        ("videos/Ada Lovelace.mp4", True),
        ("C:\\videos\\ada.mov", True),
        ("exists", True),
        ("missing", False),
        ("", False),
        ("https://h.example/ada.mp4", False),
        ("s3://bucket/ada.mp4", False),
        ("file:///srv/ada.mp4", False),
        ("file:ada.mp4", False),
    ],
)
def test_what_counts_as_a_path(text: str, expected: bool, folder: Path) -> None:
    (folder / "exists").touch()
    assert is_local_path(text) is expected


def test_file_url_is_answered_with_its_path() -> None:
    assert "write /srv/Ada Lovelace.mp4" in file_url_problem("file:///srv/Ada%20Lovelace.mp4")
    assert file_url_problem("FILE:ada.mp4")
    assert not file_url_problem("profile:ada")
