"""Downloading a manifest over HTTPS from a real host: completely, with a size limit and the SSRF guard."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from media import manifest_loader
from media.manifest_loader import download_manifest, load_manifest, load_manifest_of_run
from media.remote.fetch_limits import FetchLimits
from models.errors import InvalidManifest, MediaUnreachable, NetworkUnavailable, SettingsError
from simulator.media_host import MediaHost

ALLOWED = {"127.0.0.1"}


@pytest.mark.parametrize("path", ["rows.csv", "no-ranges/rows.csv"])
def test_manifest_is_fetched_with_and_without_ranges(
    path: str, samples: Path, media_host: MediaHost, trusting: ssl.SSLContext
) -> None:
    content = b"name,dataset_video\n" * 20_000
    (samples / "rows.csv").write_bytes(content)
    data, _ = download_manifest(media_host.url(path), allowed_hosts=ALLOWED, ssl_context=trusting)
    assert data == content
    assert len(media_host.requests) <= 2


@pytest.mark.parametrize(
    ("path", "message"),
    [("none.csv", "404"), ("status/403/rows.csv", "403"), ("redirect/http%3A%2F%2Fh%2Fa.csv", "not an HTTPS URL")],
)
def test_client_error_is_an_invalid_manifest(
    path: str, message: str, media_host: MediaHost, trusting: ssl.SSLContext
) -> None:
    url = f"{media_host.base_url}/{path}?sig=canary-signature"
    with pytest.raises(InvalidManifest, match=message) as caught:
        download_manifest(url, allowed_hosts=ALLOWED, ssl_context=trusting)
    assert "canary" not in caught.value.message + caught.value.hint


def test_private_manifest_host_gets_no_request(media_host: MediaHost, trusting: ssl.SSLContext) -> None:
    with pytest.raises(InvalidManifest, match="not a public address"):
        download_manifest(media_host.url("rows.csv"), ssl_context=trusting)
    assert media_host.requests == []


@pytest.mark.parametrize("path", ["large.csv", "no-ranges/large.csv"])
def test_oversized_manifest_is_rejected(
    path: str,
    samples: Path,
    media_host: MediaHost,
    trusting: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (samples / "large.csv").write_bytes(b"x" * 100_000)
    monkeypatch.setattr(manifest_loader, "MAX_BYTES", 99_999)  # 32 MiB over a socket would take long
    with pytest.raises(InvalidManifest, match=r"larger|cannot download"):
        download_manifest(media_host.url(path), allowed_hosts=ALLOWED, ssl_context=trusting)


def test_server_error_for_manifest_is_unreachable(media_host: MediaHost, trusting: ssl.SSLContext) -> None:
    limits = FetchLimits(max_attempts=1)
    with pytest.raises(MediaUnreachable, match="cannot download the manifest"):
        download_manifest(
            media_host.url("status/500/rows.csv"), allowed_hosts=ALLOWED, ssl_context=trusting, limits=limits
        )


def test_manifest_without_dns_is_to_be_started_again() -> None:
    with pytest.raises(NetworkUnavailable, match="cannot download the manifest: this machine cannot") as caught:
        load_manifest("https://videos.invalid/rows.csv", reference_host="api.invalid")
    assert "start the batch again" in caught.value.hint


def test_manifest_url_with_a_number_sign_is_refused() -> None:
    with pytest.raises(InvalidManifest, match="cut at a #") as caught:
        load_manifest("https://h.example/week#3.csv?sig=CANARY")
    assert "%23" in caught.value.hint
    assert "CANARY" not in f"{caught.value}"


ROWS = b"name,dataset_video,consent_video\nAda,https://h.example/d.mp4,https://h.example/c.mp4\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """AVATARS_MANIFEST_DIR with a manifest in a subfolder, beside a manifest that runs must not read."""
    folder = tmp_path / "manifests"
    (folder / "week").mkdir(parents=True)
    (folder / "week/rows.csv").write_bytes(ROWS)
    (tmp_path / "outside.csv").write_bytes(ROWS)
    (tmp_path / "manifests-old").mkdir()
    (tmp_path / "manifests-old/rows.csv").write_bytes(ROWS)
    return folder


def run_refusal(path: str, folder: Path | None) -> str:
    with pytest.raises(InvalidManifest) as caught:
        load_manifest_of_run(path, folder=folder)
    assert caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize("path", ["week/rows.csv", "./week/../week//rows.csv", "{}/week/rows.csv", "link.csv"])
def test_run_reads_a_manifest_in_the_folder(path: str, folder: Path) -> None:
    (folder / "link.csv").symlink_to(folder / "week/rows.csv")
    [row] = load_manifest_of_run(path.format(folder), folder=folder).rows
    assert row.name == "Ada"


def test_run_reads_a_folder_that_is_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(folder)
    for path in ("week/rows.csv", f"{folder}/week/rows.csv", f"{tmp_path}/current/week/rows.csv"):
        assert load_manifest_of_run(path, folder=tmp_path / "current").rows[0].name == "Ada"


@pytest.mark.parametrize(
    "path",
    [
        *("../outside.csv", "week/../../outside.csv", "{}/outside.csv", "{}/manifests/../outside.csv"),
        *("{}/manifests-old/rows.csv", "../manifests-old/rows.csv", "link.csv", "linked/rows.csv", "loop/a.csv"),
        *("/etc/passwd.csv", "/no/such/file.csv", "../none.csv", "a\0.csv", "hop.csv", "~/a/../../../x.csv"),
        *("/proc/self/root/{}/outside.csv", "/dev/stdin.csv"),
    ],
)
def test_run_reads_nothing_outside_the_folder(path: str, folder: Path, tmp_path: Path) -> None:
    (folder / "link.csv").symlink_to(tmp_path / "outside.csv")
    (folder / "linked").symlink_to(tmp_path / "manifests-old")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "hop.csv").symlink_to("week/hop.csv")
    (folder / "week/hop.csv").symlink_to("../../outside.csv")
    assert "is not below AVATARS_MANIFEST_DIR" in run_refusal(path.format(tmp_path), folder)


@pytest.mark.parametrize(
    "path", ["week/rows.csv", "{}/week/rows.csv", "/no/such/file.csv", "https:/h.example/a.csv"]
)
def test_run_reads_no_local_file_by_default(path: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert "is a local path" in run_refusal(path.format(folder), None)
    assert load_manifest("week/rows.csv").rows[0].name == "Ada"  # the user of a command may


@pytest.mark.parametrize(
    "url", ["file:///etc/hosts.csv", "file://localhost/etc/hosts.csv", "ftp://h.example/a.csv"]
)
def test_run_reads_https_urls_only(url: str, folder: Path) -> None:
    assert "not an HTTPS URL" in run_refusal(url, folder)


def test_missing_manifest_folder_is_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="/none is not a folder"):
        load_manifest_of_run("rows.csv", folder=tmp_path / "none")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def make_sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


UNSUITABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (os.mkfifo, "a named pipe"),
    "folder": (Path.mkdir, "a folder"),
    "socket": (make_socket, "No such device"),  # open(2) itself fails
    "sparse": (make_sparse, "larger than 32 MiB"),
    "null": (lambda path: path.symlink_to("/dev/null"), "a device"),
    "zero": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "proc": (lambda path: path.symlink_to("/proc/self/environ"), "one of the kernel's"),
    "sys": (lambda path: path.symlink_to("/sys/kernel/notes"), "one of the kernel's"),
    "dangling": (lambda path: path.symlink_to("nothing"), "No such file"),
}


@pytest.mark.parametrize("kind", UNSUITABLE)
def test_manifest_must_be_a_regular_file(kind: str, folder: Path) -> None:
    make, cause = UNSUITABLE[kind]
    path = folder / "rows.csv"
    make(path)
    with pytest.raises(InvalidManifest, match=cause):
        load_manifest(str(path))
    if path.is_symlink() and kind != "dangling":
        cause = "not below"
    assert cause in run_refusal("rows.csv", folder)
