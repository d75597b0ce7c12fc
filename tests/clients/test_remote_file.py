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

from clients.address_guard import GuardedTransport
from clients.range_requests import FetchLimits
from clients.remote_file import READ_AHEAD_BYTES, RemoteFile
from models.errors import AvatarsError, MediaRejected, MediaUnreachable
from simulator.media_host import MediaHost
from simulator.videos import sample

SECRET = "CANARY"
URL = f"https://videos.test/v.mp4?X-Amz-Signature={SECRET}"
DATA = bytes(i * 7 % 251 for i in range(300_000))

Answer = httpx.Response | Exception
Handler = Callable[[httpx.Request], Answer]


class Clock:
    """Time that passes only where someone sleeps or a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Body(httpx.SyncByteStream):
    """A body that comes in pieces; an exception among them is raised. It knows whether it was closed."""

    def __init__(self, pieces: Iterable[bytes | Exception]) -> None:
        self._pieces = pieces
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self) -> None:
        self.closed = True


class Script(httpx.BaseTransport):
    """A host that answers by a script, the last line of which it repeats."""

    def __init__(self, *lines: Handler | Answer) -> None:
        self._lines = list(lines)
        self.asked: list[httpx.Request] = []
        self.bodies: list[Body] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        line = self._lines.pop(0) if len(self._lines) > 1 else self._lines[0]
        answer = line(request) if callable(line) else line
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer.stream, Body):
            self.bodies.append(answer.stream)
        return answer


def asked_range(request: httpx.Request) -> tuple[int, int]:
    first, last = request.headers["range"].removeprefix("bytes=").split("-")
    return int(first), int(last) + 1


def part(
    request: httpx.Request, data: bytes = DATA, headers: Mapping[str, str] = {"etag": '"1"'}
) -> httpx.Response:
    """What an honest host answers."""
    start, end = asked_range(request)
    body = data[start:end]
    content_range = f"bytes {start}-{start + len(body) - 1}/{len(data)}"
    return httpx.Response(206, headers={"content-range": content_range, **headers}, stream=Body([body]))


def whole(*pieces: bytes | Exception, **headers: str) -> httpx.Response:
    """What a host without ranges answers."""
    return httpx.Response(200, headers=headers, stream=Body(pieces))


def opened(transport: httpx.BaseTransport, clock: Clock | None = None, **options: Any) -> RemoteFile:
    clock = clock or Clock()
    options = {"download_limit_bytes": 10**6} | options
    return RemoteFile(URL, transport=transport, monotonic=clock.monotonic, sleep=clock.sleep, **options)


def assert_nothing_leaks(error: AvatarsError) -> None:
    told = [str(error), repr(error), error.hint, *traceback.format_exception(error)]
    assert SECRET not in "".join(told)


# Reading


def test_reads_are_those_of_a_regular_file(
    media_host: MediaHost, transport: GuardedTransport, samples: Path
) -> None:
    path = sample("dataset-1.4gb.mp4", samples)
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


def test_what_is_here_is_not_asked_for_again() -> None:
    host = Script(part)
    with opened(host) as file:
        assert file.read(100) == DATA[:100]
        assert (file.requests, file.bytes_fetched) == (1, READ_AHEAD_BYTES)
        file.fetch(100_000, 200_000)
        assert file.requests == 2
        file.fetch(90_000, 250_000)
        assert file.requests == 4  # the gap before, and the gap behind
        file.seek(90_000)
        assert file.read(160_000) == DATA[90_000:250_000]
        assert file.requests == 4
        assert file.etag == '"1"'


def test_with_fetching_switched_off_reads_end_where_what_is_here_ends() -> None:
    with opened(Script(part)) as file:
        file.fetch_on_read = False
        assert file.read() == DATA[:READ_AHEAD_BYTES]
        file.seek(200_000)
        assert file.read(10) == b""
        file.fetch(200_000, 200_010)
        assert file.read(10) == DATA[200_000:200_010]
        assert file.requests == 2


def test_pyav_reads_it(media_host: MediaHost, transport: GuardedTransport, samples: Path) -> None:
    url = media_host.url(sample("dataset-1.4gb.mp4", samples).name)
    with (
        RemoteFile(url, transport=transport, download_limit_bytes=0) as file,
        av.open(file, "r", format="mov") as container,
    ):
        assert len(list(container.decode(video=0))) == 75


# Hosts without ranges


def open_files_in(directory: Path) -> list[str]:
    """Files that this process holds open there, with a name or without."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(descriptor.readlink()))
        except FileNotFoundError:  # the descriptor of this very listing
            continue
    return [name for name in found if name.startswith(f"{directory}/")]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of temporary files, for this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_host_without_ranges_is_read_as_one_download_that_is_removed(
    media_host: MediaHost, transport: GuardedTransport, samples: Path, temporary: Path
) -> None:
    path = sample("dataset.mp4", samples)
    data = path.read_bytes()
    url = media_host.url(f"no-ranges/{path.name}")
    with RemoteFile(url, transport=transport, download_limit_bytes=len(data)) as file:
        assert file.size == len(data)
        file.seek(-100, os.SEEK_END)
        assert file.read() == data[-100:]
        file.seek(0)
        assert file.read() == data
        assert (file.requests, file.bytes_fetched) == (1, len(data))
        assert len(open_files_in(temporary)) == 1
    assert open_files_in(temporary) == []
    assert list(temporary.iterdir()) == []
    assert len(media_host.requests) == 1


def test_a_download_goes_no_further_than_needed() -> None:
    host = Script(
        whole(*(DATA[at : at + 1000] for at in range(0, len(DATA), 1000)), **{"content-length": "300000"})
    )
    with opened(host) as file:
        assert file.size == len(DATA)
        assert file.read(10) == DATA[:10]
        assert file.bytes_fetched == 66_000
        file.fetch_on_read = False
        file.seek(65_990)
        assert file.read(100) == DATA[65_990:66_000]
        file.fetch(100_000, 100_001)
        assert file.bytes_fetched == 101_000
    assert host.bodies[0].closed


def test_a_download_of_unknown_length_is_taken_whole(temporary: Path) -> None:
    with opened(Script(whole(DATA[:1000], DATA[1000:]))) as file:
        assert file.size == len(DATA)
        assert file.read() == DATA
    assert open_files_in(temporary) == []


@pytest.mark.parametrize("headers", [{}, {"content-length": "300000"}])
def test_a_download_past_the_limit_is_rejected_and_removed(headers: dict[str, str], temporary: Path) -> None:
    host = Script(whole(*([bytes(1000)] * 300), **headers))
    with pytest.raises(MediaRejected) as rejected:
        opened(host, download_limit_bytes=20_000)
    assert rejected.value.rule == "file-too-big"
    assert_nothing_leaks(rejected.value)
    assert host.bodies[0].closed
    assert open_files_in(temporary) == []


@pytest.mark.parametrize(
    "pieces", [(DATA[:70_000],), (DATA[:70_000], httpx.ReadError("reset")), (httpx.ReadTimeout("slow"),)]
)
def test_a_cut_download_leaves_the_video_unknown(pieces: tuple[bytes | Exception, ...], temporary: Path) -> None:
    with (
        pytest.raises(MediaUnreachable, match="download") as unreachable,
        opened(Script(whole(*pieces, **{"content-length": "300000"}))) as file,
    ):
        file.read()
    assert_nothing_leaks(unreachable.value)
    assert open_files_in(temporary) == []


def test_a_disk_without_room_leaves_the_video_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    # Patched, as no test should fill the disk.
    full = Path("/dev/full").open("w+b")  # noqa: SIM115  # closed by the RemoteFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full)
    with pytest.raises(MediaUnreachable, match="No space left"), opened(Script(whole(DATA))):
        pass


# Redirects


def test_redirects_are_followed_and_not_asked_again(
    media_host: MediaHost, transport: GuardedTransport, samples: Path
) -> None:
    path = sample("dataset-1.4gb.mp4", samples)
    chain = "redirect/" * 5 + path.name
    with RemoteFile(media_host.url(chain), transport=transport, download_limit_bytes=0) as file:
        assert file.read(8)[4:] == b"ftyp"
        assert file.requests == 6
        file.fetch(10**9, 10**9 + 1)
        assert file.requests == 7
        assert file.shown == media_host.url(path.name)


def test_redirects_have_an_end(media_host: MediaHost, transport: GuardedTransport) -> None:
    with pytest.raises(MediaRejected) as rejected:
        RemoteFile(media_host.url("redirect/" * 6 + "x"), transport=transport, download_limit_bytes=0)
    assert rejected.value.rule == "too-many-redirects"
    assert len(media_host.requests) == 6


@pytest.mark.parametrize(
    ("location", "rule"),
    [
        (f"http://videos.test/v.mp4?sig={SECRET}", "not-https"),
        (f"ftp://videos.test/v.mp4?sig={SECRET}", "not-https"),
        (f"https://videos.test:port/?sig={SECRET}", "bad-url"),
    ],
)
def test_redirects_lead_to_https_alone(location: str, rule: str) -> None:
    host = Script(httpx.Response(302, headers={"location": location}, stream=Body([])))
    with pytest.raises(MediaRejected) as rejected:
        opened(host)
    assert rejected.value.rule == rule
    assert host.bodies[0].closed
    assert_nothing_leaks(rejected.value)


def test_a_redirect_passes_the_guard_as_well(media_host: MediaHost, transport: GuardedTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        inside = f"https://localhost:{listener.getsockname()[1]}/?sig={SECRET}"
        with pytest.raises(MediaRejected) as rejected:
            RemoteFile(media_host.redirect_url(inside), transport=transport, download_limit_bytes=0)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert rejected.value.rule == "address-not-public"
    assert_nothing_leaks(rejected.value)


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
def test_only_https_urls_are_asked_at_all(url: str, rule: str) -> None:
    host = Script(part)
    with pytest.raises(MediaRejected) as rejected:
        RemoteFile(url, transport=host, download_limit_bytes=0)
    assert rejected.value.rule == rule
    assert rejected.value.hint
    assert host.asked == []
    assert_nothing_leaks(rejected.value)


# Refusals


@pytest.mark.parametrize(
    ("status", "rule"),
    [
        (400, "refused"),
        (401, "forbidden"),
        (403, "forbidden"),
        (404, "not-found"),
        (410, "not-found"),
        (499, "refused"),
    ],
)
def test_a_definite_no_is_asked_once(
    status: int, rule: str, media_host: MediaHost, transport: GuardedTransport
) -> None:
    url = f"{media_host.url(f'status/{status}/v.mp4')}?X-Amz-Signature={SECRET}"
    with pytest.raises(MediaRejected) as rejected:
        RemoteFile(url, transport=transport, download_limit_bytes=0)
    assert rejected.value.rule == rule
    assert f"answered {status}" in rejected.value.message
    assert rejected.value.hint
    assert len(media_host.requests) == 1
    assert_nothing_leaks(rejected.value)


def test_an_empty_file_is_rejected(media_host: MediaHost, transport: GuardedTransport, samples: Path) -> None:
    samples.joinpath("empty.mp4").touch()
    with pytest.raises(MediaRejected) as rejected:
        RemoteFile(media_host.url("empty.mp4"), transport=transport, download_limit_bytes=0)
    assert rejected.value.rule == "empty-file"


@pytest.mark.parametrize("status", [204, 304, 408, 425, 429, 500, 502, 503, 504])
def test_an_answer_that_is_none_is_asked_for_three_times(
    status: int, media_host: MediaHost, transport: GuardedTransport
) -> None:
    clock = Clock()
    url = f"{media_host.url(f'status/{status}/v.mp4')}?X-Amz-Signature={SECRET}"
    with pytest.raises(MediaUnreachable, match=f"3 attempts.*{status}") as unreachable:
        RemoteFile(url, transport=transport, download_limit_bytes=0, monotonic=clock.monotonic, sleep=clock.sleep)
    assert len(media_host.requests) == 3
    assert clock.slept == [0.5, 1.0]
    assert unreachable.value.hint
    assert_nothing_leaks(unreachable.value)


def test_the_hosts_own_wish_to_wait_is_obeyed() -> None:
    clock = Clock()
    busy = httpx.Response(429, headers={"retry-after": "7"}, stream=Body([]))
    with opened(Script(busy, part), clock) as file:
        assert file.requests == 2
    assert clock.slept == [7.0]


def test_a_wish_to_wait_past_the_time_budget_ends_the_check() -> None:
    clock = Clock()
    busy = httpx.Response(503, headers={"retry-after": "100"}, stream=Body([]))
    with pytest.raises(MediaUnreachable, match="within 60 seconds"):
        opened(Script(busy), clock, limits=FetchLimits(seconds=60))
    assert clock.slept == []


def test_nobody_listening_is_unreachable(trusting: ssl.SSLContext) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed_soon:
        port = closed_soon.getsockname()[1]
    clock = Clock()
    with (
        GuardedTransport({"127.0.0.1"}, ssl_context=trusting) as transport,
        pytest.raises(MediaUnreachable) as error,
    ):
        RemoteFile(
            f"https://127.0.0.1:{port}/v.mp4?sig={SECRET}",
            transport=transport,
            download_limit_bytes=0,
            monotonic=clock.monotonic,
            sleep=clock.sleep,
        )
    assert "refused" in error.value.message
    assert len(clock.slept) == 2
    assert_nothing_leaks(error.value)


def test_a_certificate_that_is_not_trusted_says_so(media_host: MediaHost) -> None:
    clock = Clock()
    with GuardedTransport({"127.0.0.1"}) as transport, pytest.raises(MediaUnreachable, match="SSL_CERT_FILE"):
        RemoteFile(
            media_host.url("v.mp4"),
            transport=transport,
            download_limit_bytes=0,
            monotonic=clock.monotonic,
            sleep=clock.sleep,
        )


def test_a_cut_line_is_tried_again() -> None:
    def cut(request: httpx.Request) -> httpx.Response:
        answer = part(request)
        return httpx.Response(206, headers=answer.headers, stream=Body([DATA[:100], httpx.ReadError("reset")]))

    with opened(Script(httpx.ReadTimeout("slow"), cut, part)) as file:
        assert file.read(200) == DATA[:200]
        assert file.requests == 3


def test_text_that_the_host_made_up_is_not_repeated() -> None:
    with pytest.raises(MediaUnreachable) as unreachable:
        opened(Script(httpx.RemoteProtocolError(f"illegal status line: {SECRET}")))
    assert_nothing_leaks(unreachable.value)


# Odd hosts


@pytest.mark.parametrize(
    ("content_range", "length"),
    [
        (None, 65536),
        ("bytes 0-65535/*", 65536),
        ("bytes 1-65536/300000", 65536),
        ("bytes 0-65534/300000", 65535),
        ("bytes 0-65535/100", 65536),
        ("bytes 0-65535/9999999999999999999", 65536),
        ("bytes 0-65535/300000", 65535),
        ("bytes 0-65535/300000", 65537),
        ("items 0-65535/300000", 65536),
    ],
)
def test_a_host_that_lies_about_ranges_gives_no_usable_answer(content_range: str | None, length: int) -> None:
    headers = {} if content_range is None else {"content-range": content_range}
    host = Script(lambda _: httpx.Response(206, headers=headers, stream=Body([DATA[:length]])))
    with pytest.raises(MediaUnreachable, match="3 attempts") as unreachable:
        opened(host)
    assert len(host.bodies) == 3
    assert all(body.closed for body in host.bodies)
    assert_nothing_leaks(unreachable.value)


def test_a_body_past_its_range_is_not_read_to_its_end() -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 10**9:
            sent += READ_AHEAD_BYTES
            yield bytes(READ_AHEAD_BYTES)

    answer = httpx.Response(206, headers={"content-range": "bytes 0-65535/300000"}, stream=Body(endless()))
    with pytest.raises(MediaUnreachable):
        opened(Script(answer), limits=FetchLimits(attempts=1))
    assert sent == 2 * READ_AHEAD_BYTES


@pytest.mark.parametrize(
    "second",
    [
        lambda request: part(request, headers={"etag": '"2"'}),
        lambda request: part(request, headers={"last-modified": "Mon, 02 Nov 2026 00:00:00 GMT"}),
        lambda request: part(request, DATA + b"more"),
        httpx.Response(416, stream=Body([])),
        whole(DATA, etag='"2"'),
    ],
)
def test_a_file_that_changes_while_it_is_read_is_noticed(second: Handler | Answer) -> None:
    host = Script(part, second)
    with (
        pytest.raises(MediaUnreachable, match="changed while it was read") as unreachable,
        opened(host) as file,
    ):
        file.fetch(100_000, 200_000)
    assert len(host.asked) == 2
    assert all(body.closed for body in host.bodies)
    assert_nothing_leaks(unreachable.value)


def test_a_host_that_forgets_ranges_is_noticed() -> None:
    host = Script(part, whole(DATA, **{"etag": '"1"', "content-length": "300000"}))
    with pytest.raises(MediaUnreachable, match="not again"), opened(host) as file:
        file.fetch(100_000, 200_000)
    assert all(body.closed for body in host.bodies)


# Budgets


def test_the_time_budget_holds_while_a_body_drips() -> None:
    clock = Clock()

    def dripping(_: httpx.Request) -> httpx.Response:
        def drip() -> Iterator[bytes]:
            while True:
                clock.now += 10
                yield b"x"

        return httpx.Response(206, headers={"content-range": "bytes 0-65535/300000"}, stream=Body(drip()))

    host = Script(dripping)
    with pytest.raises(MediaUnreachable, match="within 60 seconds"):
        opened(host, clock, limits=FetchLimits(seconds=60))
    assert len(host.asked) == 1
    assert host.bodies[0].closed


@pytest.mark.parametrize(
    ("limits", "told"), [(FetchLimits(requests=3), "3 requests"), (FetchLimits(bytes=120_000), "120,000 bytes")]
)
def test_a_file_that_costs_too_much_to_understand_is_rejected(limits: FetchLimits, told: str) -> None:
    with opened(Script(part), limits=limits) as file:
        file.fetch(100_000, 125_000)
        file.fetch(200_000, 205_000)
        with pytest.raises(MediaRejected, match=told) as rejected:
            file.fetch(270_000, 295_000)
    assert rejected.value.rule == "scattered"
    assert rejected.value.hint
    assert_nothing_leaks(rejected.value)


def test_a_request_says_who_asks_and_wants_plain_bytes() -> None:
    host = Script(part)
    opened(host).close()
    (request,) = host.asked
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["user-agent"] == "avatar-provisioner"
    assert request.url == URL


def test_no_log_shows_the_query(
    media_host: MediaHost, transport: GuardedTransport, samples: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"{media_host.url(sample('consent.mp4', samples).name)}?X-Amz-Signature={SECRET}"
    RemoteFile(url, transport=transport, download_limit_bytes=0).close()
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn")]
    assert len(ours) > 0
    assert SECRET not in "".join(ours)
