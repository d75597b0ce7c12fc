from __future__ import annotations

import logging
import os
import socket
import ssl
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from media.remote.fetch_limits import FetchLimits
from media.remote.remote_file import READ_AHEAD_BYTES, RemoteFile
from media.remote.ssrf_guard import PublicOnlyTransport
from models.errors import AvatarsError, MediaRejected, MediaUnreachable
from simulator.media_host import MediaHost
from simulator.sample_videos import ensure_sample
from tests.fakes import FakeClock

SECRET = "CANARY"
URL = f"https://videos.test/v.mp4?X-Amz-Signature={SECRET}"
DATA = bytes(i * 7 % 251 for i in range(300_000))

Reply = httpx.Response | Exception
Handler = Callable[[httpx.Request], Reply]


class BlockingClock(FakeClock):
    """A fake clock with a blocking sleep, which returns at once and is recorded."""

    def block(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.advance(seconds)


class Body(httpx.SyncByteStream):
    """A body of several chunks; exceptions among them are raised. It records whether it was closed."""

    def __init__(self, chunks: Iterable[bytes | Exception]) -> None:
        self._chunks = chunks
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    def close(self) -> None:
        self.closed = True


class ScriptedHost(httpx.BaseTransport):
    """A host that gives the replies in order and repeats the last one."""

    def __init__(self, *replies: Handler | Reply) -> None:
        self._replies = list(replies)
        self.requests: list[httpx.Request] = []
        self.bodies: list[Body] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        response = reply(request) if callable(reply) else reply
        if isinstance(response, Exception):
            raise response
        if isinstance(response.stream, Body):
            self.bodies.append(response.stream)
        return response


def requested_range(request: httpx.Request) -> tuple[int, int]:
    first, last = request.headers["range"].removeprefix("bytes=").split("-")
    return int(first), int(last) + 1


def partial_content(
    request: httpx.Request, data: bytes = DATA, headers: Mapping[str, str] = {"etag": '"1"'}
) -> httpx.Response:
    """The response of a host with range support."""
    start, end = requested_range(request)
    body = data[start:end]
    content_range = f"bytes {start}-{start + len(body) - 1}/{len(data)}"
    return httpx.Response(206, headers={"content-range": content_range, **headers}, stream=Body([body]))


def full_response(*chunks: bytes | Exception, **headers: str) -> httpx.Response:
    """The response of a host without range support."""
    return httpx.Response(200, headers=headers, stream=Body(chunks))


def open_remote(transport: httpx.BaseTransport, clock: BlockingClock | None = None, **options: Any) -> RemoteFile:
    clock = clock or BlockingClock()
    options = {"download_limit_bytes": 10**6} | options
    return RemoteFile(URL, transport=transport, clock=clock, sleep=clock.block, **options)


def assert_no_secret(error: AvatarsError) -> None:
    texts = [str(error), repr(error), error.hint, *traceback.format_exception(error)]
    assert SECRET not in "".join(texts)


# Reading


def test_reads_equal_those_of_a_local_file(
    media_host: MediaHost, transport: PublicOnlyTransport, samples: Path
) -> None:
    path = ensure_sample("dataset-1.4gb.mp4", samples)
    size = path.stat().st_size
    url = media_host.url(path.name)
    with RemoteFile(url, transport=transport, download_limit_bytes=0) as file, path.open("rb") as local:
        assert file.size == size
        assert file.readable()
        assert file.seekable()
        for offset, whence, length in [
            (0, os.SEEK_SET, 10),
            (4090, os.SEEK_SET, 20),
            (65_530, os.SEEK_SET, 5000),
            (-70_000, os.SEEK_CUR, 3),
            (-5, os.SEEK_END, 100),
            (-300_000, os.SEEK_END, 300_000),
            (0, os.SEEK_END, 1),
            (1000, os.SEEK_END, 1),
            (700_000_000, os.SEEK_SET, 0),
            (700_000_001, os.SEEK_SET, 4096),
        ]:
            assert file.seek(offset, whence) == local.seek(offset, whence)
            assert file.read(length) == local.read(length)
            assert file.tell() == local.tell()
        with pytest.raises(ValueError, match="before"):
            file.seek(-1)


def test_cached_bytes_are_not_requested_again() -> None:
    host = ScriptedHost(partial_content)
    with open_remote(host) as file:
        assert file.read(100) == DATA[:100]
        assert (file.requests, file.bytes_fetched) == (1, READ_AHEAD_BYTES)
        file.fetch(100_000, 200_000)
        assert file.requests == 2
        file.fetch(90_000, 250_000)
        assert file.requests == 4  # the gap before, and the gap after
        file.seek(90_000)
        assert file.read(160_000) == DATA[90_000:250_000]
        assert file.requests == 4
        assert file.etag == '"1"'


def test_reads_without_fetching_end_at_cached_bytes() -> None:
    with open_remote(ScriptedHost(partial_content)) as file:
        file.fetch_on_read = False
        assert file.read() == DATA[:READ_AHEAD_BYTES]
        file.seek(200_000)
        assert file.read(10) == b""
        file.fetch(200_000, 200_010)
        assert file.read(10) == DATA[200_000:200_010]
        assert file.requests == 2


def test_pyav_decodes_a_remote_file(media_host: MediaHost, transport: PublicOnlyTransport, samples: Path) -> None:
    url = media_host.url(ensure_sample("dataset-1.4gb.mp4", samples).name)
    with (
        RemoteFile(url, transport=transport, download_limit_bytes=0) as file,
        av.open(file, "r", format="mov") as container,
    ):
        assert len(list(container.decode(video=0))) == 75


# Hosts without ranges


def open_files_in(directory: Path) -> list[str]:
    """Files in the directory that this process has open, including deleted ones."""
    paths = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            paths.append(str(descriptor.readlink()))
        except FileNotFoundError:  # the descriptor of this listing
            continue
    return [path for path in paths if path.startswith(f"{directory}/")]


@pytest.fixture
def temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of temporary_directory files for this test only."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_download_without_ranges_is_removed_on_close(
    media_host: MediaHost, transport: PublicOnlyTransport, samples: Path, temporary_directory: Path
) -> None:
    path = ensure_sample("dataset.mp4", samples)
    data = path.read_bytes()
    url = media_host.url(f"no-ranges/{path.name}")
    with RemoteFile(url, transport=transport, download_limit_bytes=len(data)) as file:
        assert file.size == len(data)
        file.seek(-100, os.SEEK_END)
        assert file.read() == data[-100:]
        file.seek(0)
        assert file.read() == data
        assert (file.requests, file.bytes_fetched) == (1, len(data))
        assert len(open_files_in(temporary_directory)) == 1
    assert open_files_in(temporary_directory) == []
    assert list(temporary_directory.iterdir()) == []
    assert len(media_host.requests) == 1


def test_download_stops_at_the_bytes_needed() -> None:
    host = ScriptedHost(
        full_response(*(DATA[at : at + 1000] for at in range(0, len(DATA), 1000)), **{"content-length": "300000"})
    )
    with open_remote(host) as file:
        assert file.size == len(DATA)
        assert file.read(10) == DATA[:10]
        assert file.bytes_fetched == 66_000
        file.fetch_on_read = False
        file.seek(65_990)
        assert file.read(100) == DATA[65_990:66_000]
        file.fetch(100_000, 100_001)
        assert file.bytes_fetched == 101_000
    assert host.bodies[0].closed


def test_download_of_unknown_length_is_read_completely(temporary_directory: Path) -> None:
    with open_remote(ScriptedHost(full_response(DATA[:1000], DATA[1000:]))) as file:
        assert file.size == len(DATA)
        assert file.read() == DATA
    assert open_files_in(temporary_directory) == []


@pytest.mark.parametrize("headers", [{}, {"content-length": "300000"}])
def test_download_over_the_limit_is_rejected_and_removed(
    headers: dict[str, str], temporary_directory: Path
) -> None:
    host = ScriptedHost(full_response(*([bytes(1000)] * 300), **headers))
    with pytest.raises(MediaRejected) as rejected:
        open_remote(host, download_limit_bytes=20_000)
    assert rejected.value.rule_code == "file-too-large"
    assert_no_secret(rejected.value)
    assert host.bodies[0].closed
    assert open_files_in(temporary_directory) == []


@pytest.mark.parametrize(
    "chunks", [(DATA[:70_000],), (DATA[:70_000], httpx.ReadError("reset")), (httpx.ReadTimeout("slow"),)]
)
def test_interrupted_download_is_unreachable(
    chunks: tuple[bytes | Exception, ...], temporary_directory: Path
) -> None:
    with (
        pytest.raises(MediaUnreachable, match="download") as unreachable,
        open_remote(ScriptedHost(full_response(*chunks, **{"content-length": "300000"}))) as file,
    ):
        file.read()
    assert_no_secret(unreachable.value)
    assert open_files_in(temporary_directory) == []


def test_full_disk_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    # Patched, because a test must not fill the disk.
    full = Path("/dev/full").open("w+b")  # noqa: SIM115  # closed by the RemoteFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full)
    with pytest.raises(MediaUnreachable, match="No space left"), open_remote(ScriptedHost(full_response(DATA))):
        pass


# Redirects


def test_redirects_are_followed_only_once(
    media_host: MediaHost, transport: PublicOnlyTransport, samples: Path
) -> None:
    path = ensure_sample("dataset-1.4gb.mp4", samples)
    chain = "redirect/" * 5 + path.name
    with RemoteFile(media_host.url(chain), transport=transport, download_limit_bytes=0) as file:
        assert file.read(8)[4:] == b"ftyp"
        assert file.requests == 6
        file.fetch(10**9, 10**9 + 1)
        assert file.requests == 7
        assert file.redacted_url == media_host.url(path.name)


def test_redirects_are_limited(media_host: MediaHost, transport: PublicOnlyTransport) -> None:
    with pytest.raises(MediaRejected) as rejected:
        RemoteFile(media_host.url("redirect/" * 6 + "x"), transport=transport, download_limit_bytes=0)
    assert rejected.value.rule_code == "too-many-redirects"
    assert len(media_host.requests) == 6


@pytest.mark.parametrize(
    ("location", "rule"),
    [
        (f"http://videos.test/v.mp4?sig={SECRET}", "not-https"),
        (f"ftp://videos.test/v.mp4?sig={SECRET}", "not-https"),
        (f"https://videos.test:port/?sig={SECRET}", "bad-url"),
    ],
)
def test_redirect_to_a_non_https_url_is_rejected(location: str, rule: str) -> None:
    host = ScriptedHost(httpx.Response(302, headers={"location": location}, stream=Body([])))
    with pytest.raises(MediaRejected) as rejected:
        open_remote(host)
    assert rejected.value.rule_code == rule
    assert host.bodies[0].closed
    assert_no_secret(rejected.value)


def test_redirect_to_a_private_address_is_rejected(media_host: MediaHost, transport: PublicOnlyTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        private_url = f"https://localhost:{listener.getsockname()[1]}/?sig={SECRET}"
        with pytest.raises(MediaRejected) as rejected:
            RemoteFile(media_host.redirect_url(private_url), transport=transport, download_limit_bytes=0)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert rejected.value.rule_code == "address-not-public"
    assert_no_secret(rejected.value)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        (f"http://videos.test/v.mp4?sig={SECRET}", "not-https"),
        (f"v.mp4?sig={SECRET}", "not-https"),
        (f"https://?sig={SECRET}", "not-https"),
        (f"https://videos.test:99999999/?sig={SECRET}", "not-https"),
        (f"https://user:{SECRET}@videos.test:x/", "bad-url"),
    ],
)
def test_non_https_url_is_rejected_without_a_request(url: str, rule: str) -> None:
    host = ScriptedHost(partial_content)
    with pytest.raises(MediaRejected) as rejected:
        RemoteFile(url, transport=host, download_limit_bytes=0)
    assert rejected.value.rule_code == rule
    assert rejected.value.hint
    assert host.requests == []
    assert_no_secret(rejected.value)


# Error responses


@pytest.mark.parametrize(
    ("status", "rule"),
    [
        (400, "http-client-error"),
        (401, "forbidden"),
        (403, "forbidden"),
        (404, "not-found"),
        (410, "not-found"),
        (499, "http-client-error"),
    ],
)
def test_client_error_is_not_retried(
    status: int, rule: str, media_host: MediaHost, transport: PublicOnlyTransport
) -> None:
    url = f"{media_host.url(f'status/{status}/v.mp4')}?X-Amz-Signature={SECRET}"
    with pytest.raises(MediaRejected) as rejected:
        RemoteFile(url, transport=transport, download_limit_bytes=0)
    assert rejected.value.rule_code == rule
    assert f"answered {status}" in rejected.value.message
    assert rejected.value.hint
    assert len(media_host.requests) == 1
    assert_no_secret(rejected.value)


def test_empty_file_is_rejected(media_host: MediaHost, transport: PublicOnlyTransport, samples: Path) -> None:
    samples.joinpath("empty.mp4").touch()
    with pytest.raises(MediaRejected) as rejected:
        RemoteFile(media_host.url("empty.mp4"), transport=transport, download_limit_bytes=0)
    assert rejected.value.rule_code == "empty-file"


@pytest.mark.parametrize("status", [204, 304, 408, 425, 429, 500, 502, 503, 504])
def test_temporary_error_is_tried_three_times(
    status: int, media_host: MediaHost, transport: PublicOnlyTransport
) -> None:
    clock = BlockingClock()
    url = f"{media_host.url(f'status/{status}/v.mp4')}?X-Amz-Signature={SECRET}"
    with pytest.raises(MediaUnreachable, match=f"3 attempts.*{status}") as unreachable:
        RemoteFile(url, transport=transport, download_limit_bytes=0, clock=clock, sleep=clock.block)
    assert len(media_host.requests) == 3
    assert clock.sleeps == [0.5, 1.0]
    assert unreachable.value.hint
    assert_no_secret(unreachable.value)


def test_retry_after_is_honoured() -> None:
    clock = BlockingClock()
    busy = httpx.Response(429, headers={"retry-after": "7"}, stream=Body([]))
    with open_remote(ScriptedHost(busy, partial_content), clock) as file:
        assert file.requests == 2
    assert clock.sleeps == [7.0]


def test_retry_after_beyond_the_deadline_is_unreachable() -> None:
    clock = BlockingClock()
    busy = httpx.Response(503, headers={"retry-after": "100"}, stream=Body([]))
    with pytest.raises(MediaUnreachable, match="within 60 seconds"):
        open_remote(ScriptedHost(busy), clock, limits=FetchLimits(timeout_seconds=60))
    assert clock.sleeps == []


def test_refused_connection_is_unreachable(trusting: ssl.SSLContext) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    clock = BlockingClock()
    with (
        PublicOnlyTransport({"127.0.0.1"}, ssl_context=trusting) as transport,
        pytest.raises(MediaUnreachable) as error,
    ):
        RemoteFile(
            f"https://127.0.0.1:{port}/v.mp4?sig={SECRET}",
            transport=transport,
            download_limit_bytes=0,
            clock=clock,
            sleep=clock.block,
        )
    assert "refused" in error.value.message
    assert len(clock.sleeps) == 2
    assert_no_secret(error.value)


def test_untrusted_certificate_names_ssl_cert_file(media_host: MediaHost) -> None:
    clock = BlockingClock()
    with PublicOnlyTransport({"127.0.0.1"}) as transport, pytest.raises(MediaUnreachable, match="SSL_CERT_FILE"):
        RemoteFile(
            media_host.url("v.mp4"),
            transport=transport,
            download_limit_bytes=0,
            clock=clock,
            sleep=clock.block,
        )


def test_interrupted_response_is_retried() -> None:
    def cut(request: httpx.Request) -> httpx.Response:
        response = partial_content(request)
        return httpx.Response(206, headers=response.headers, stream=Body([DATA[:100], httpx.ReadError("reset")]))

    with open_remote(ScriptedHost(httpx.ReadTimeout("slow"), cut, partial_content)) as file:
        assert file.read(200) == DATA[:200]
        assert file.requests == 3


def test_text_from_the_host_is_not_repeated() -> None:
    with pytest.raises(MediaUnreachable) as unreachable:
        open_remote(ScriptedHost(httpx.RemoteProtocolError(f"illegal status line: {SECRET}")))
    assert_no_secret(unreachable.value)


# Misbehaving hosts


@pytest.mark.parametrize(
    ("content_range", "length"),
    [
        (None, 65536),
        ("bytes 1-65536/300000", 65536),
        ("bytes 0-65535/100", 65536),
        ("bytes 0-65535/9999999999999999999", 65536),
        ("bytes 0-65535/300000", 65535),
        ("bytes 0-65535/300000", 65537),
        ("items 0-65535/300000", 65536),
    ],
)
def test_invalid_content_range_is_unreachable(content_range: str | None, length: int) -> None:
    headers = {} if content_range is None else {"content-range": content_range}
    host = ScriptedHost(lambda _: httpx.Response(206, headers=headers, stream=Body([DATA[:length]])))
    with pytest.raises(MediaUnreachable, match="3 attempts") as unreachable:
        open_remote(host)
    assert len(host.bodies) == 3
    assert all(body.closed for body in host.bodies)
    assert_no_secret(unreachable.value)


def test_host_that_never_states_the_size_is_unreachable() -> None:
    head = httpx.Response(206, headers={"content-range": "bytes 0-65535/*"}, stream=Body([DATA[:65536]]))
    host = ScriptedHost(head, lambda _: httpx.Response(206, headers=head.headers, stream=Body([DATA[:65536]])))
    with pytest.raises(MediaUnreachable, match="does not state the size"):
        open_remote(host)
    assert ["range" in request.headers for request in host.requests] == [True, False, False, False]
    assert all(body.closed for body in host.bodies)


def test_body_beyond_its_range_is_not_read() -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 10**9:
            sent += READ_AHEAD_BYTES
            yield bytes(READ_AHEAD_BYTES)

    response = httpx.Response(206, headers={"content-range": "bytes 0-65535/300000"}, stream=Body(endless()))
    with pytest.raises(MediaUnreachable):
        open_remote(ScriptedHost(response), limits=FetchLimits(max_attempts=1))
    assert sent == 2 * READ_AHEAD_BYTES


@pytest.mark.parametrize(
    "second",
    [
        lambda request: partial_content(request, headers={"etag": '"2"'}),
        lambda request: partial_content(request, headers={"last-modified": "Mon, 02 Nov 2026 00:00:00 GMT"}),
        lambda request: partial_content(request, DATA + b"more"),
        httpx.Response(416, stream=Body([])),
        full_response(DATA, etag='"2"'),
    ],
)
def test_file_that_changes_during_reading_is_unreachable(second: Handler | Reply) -> None:
    host = ScriptedHost(partial_content, second)
    with (
        pytest.raises(MediaUnreachable, match="changed while it was being read") as unreachable,
        open_remote(host) as file,
    ):
        file.fetch(100_000, 200_000)
    assert len(host.requests) == 2
    assert all(body.closed for body in host.bodies)
    assert_no_secret(unreachable.value)


def test_host_that_stops_supporting_ranges_is_unreachable() -> None:
    host = ScriptedHost(partial_content, full_response(DATA, **{"etag": '"1"', "content-length": "300000"}))
    with pytest.raises(MediaUnreachable, match="stopped supporting range requests"), open_remote(host) as file:
        file.fetch(100_000, 200_000)
    assert all(body.closed for body in host.bodies)


# Budgets


def test_deadline_applies_while_a_body_arrives_slowly() -> None:
    clock = BlockingClock()

    def slow_response(_: httpx.Request) -> httpx.Response:
        def slow_body() -> Iterator[bytes]:
            while True:
                clock.advance(10)
                yield b"x"

        return httpx.Response(206, headers={"content-range": "bytes 0-65535/300000"}, stream=Body(slow_body()))

    host = ScriptedHost(slow_response)
    with pytest.raises(MediaUnreachable, match="within 60 seconds"):
        open_remote(host, clock, limits=FetchLimits(timeout_seconds=60))
    assert len(host.requests) == 1
    assert host.bodies[0].closed


@pytest.mark.parametrize(
    ("limits", "budget"),
    [(FetchLimits(max_requests=3), "3 requests"), (FetchLimits(max_bytes=120_000), "120,000 bytes")],
)
def test_file_beyond_the_read_budget_is_rejected(limits: FetchLimits, budget: str) -> None:
    with open_remote(ScriptedHost(partial_content), limits=limits) as file:
        file.fetch(100_000, 125_000)
        file.fetch(200_000, 205_000)
        with pytest.raises(MediaRejected, match=budget) as rejected:
            file.fetch(270_000, 295_000)
    assert rejected.value.rule_code == "read-budget-exceeded"
    assert rejected.value.hint
    assert_no_secret(rejected.value)


def test_request_has_user_agent_and_identity_encoding() -> None:
    host = ScriptedHost(partial_content)
    open_remote(host).close()
    (request,) = host.requests
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"] == "avatar-provisioner"
    assert request.url == URL


def test_logs_do_not_contain_the_query(
    media_host: MediaHost, transport: PublicOnlyTransport, samples: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"{media_host.url(ensure_sample('consent.mp4', samples).name)}?X-Amz-Signature={SECRET}"
    RemoteFile(url, transport=transport, download_limit_bytes=0).close()
    messages = [record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn")]
    assert len(messages) > 0
    assert SECRET not in "".join(messages)
