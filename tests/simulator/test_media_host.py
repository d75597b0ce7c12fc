from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from simulator.media_host import MediaHost, RecordedRequest, running_media_host

DATA = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaHost]:
    directory = tmp_path_factory.mktemp("videos")
    directory.joinpath("v.mp4").write_bytes(DATA)
    with running_media_host(directory) as host:
        yield host


@pytest.fixture
def host(running: MediaHost) -> MediaHost:
    running.requests.clear()
    return running


@pytest.fixture(scope="module")
def caller(running: MediaHost) -> Iterator[httpx.Client]:
    with httpx.Client(verify=ssl.create_default_context(cafile=running.ca_file), trust_env=False) as client:
        yield client


def test_files_are_served_by_ranges(host: MediaHost, caller: httpx.Client) -> None:
    response = caller.get(host.url("v.mp4"), headers={"range": "bytes=100-199"})
    assert (response.status_code, response.content) == (206, DATA[100:200])
    assert response.headers["content-range"] == f"bytes 100-199/{len(DATA)}"
    assert response.headers["etag"]


def test_ranges_can_be_ignored(host: MediaHost, caller: httpx.Client) -> None:
    response = caller.get(host.url("no-ranges/v.mp4"), headers={"range": "bytes=100-199"})
    assert (response.status_code, response.content) == (200, DATA)


@pytest.mark.parametrize("status", [403, 404, 410, 429, 503])
def test_any_status_can_be_requested(status: int, host: MediaHost, caller: httpx.Client) -> None:
    assert caller.get(host.url(f"status/{status}/v.mp4")).status_code == status


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("v.mp4", "/v.mp4"),
        ("redirect/v.mp4", "/redirect/v.mp4"),
        ("http://elsewhere.test/v.mp4?a=1&b=2", "http://elsewhere.test/v.mp4?a=1&b=2"),
    ],
)
def test_redirect_leads_to_the_location_in_the_url(
    location: str, expected: str, host: MediaHost, caller: httpx.Client
) -> None:
    response = caller.get(host.redirect_url(location))
    assert (response.status_code, response.headers["location"]) == (302, expected)


@pytest.mark.parametrize("path", ["missing.mp4", "no-ranges/missing.mp4", "..%2Fhost.pem", "%2e%2e"])
def test_files_outside_the_folder_are_not_served(path: str, host: MediaHost, caller: httpx.Client) -> None:
    assert caller.get(f"{host.base_url}/{path}").status_code == 404


def test_requests_are_recorded(host: MediaHost, caller: httpx.Client) -> None:
    caller.get(host.url("v.mp4"), headers={"range": "bytes=0-9"})
    caller.get(host.url("status/403/v.mp4"))
    assert host.requests == [RecordedRequest("/v.mp4", "bytes=0-9"), RecordedRequest("/status/403/v.mp4", "")]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_certificate_is_valid_for_both_names(name: str, host: MediaHost, caller: httpx.Client) -> None:
    url = httpx.URL(host.url("v.mp4")).copy_with(host=name)
    assert caller.get(url).status_code == 200


def test_key_files_are_removed_with_the_host(tmp_path: Path) -> None:
    with running_media_host(tmp_path) as host:
        secrets = host.ca_file.parent
        assert secrets.stat().st_mode & 0o077 == 0
    assert not secrets.exists()
