"""Images from hosts that answer range requests in other ways than RFC 9110 says, or change the file meanwhile."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from media.checker import MediaChecker
from models.media.image_facts import ImageFacts
from models.media.report import MediaReport
from models.media.rules import MediaRole
from simulator.host_behaviour import HostBehaviour
from simulator.media_host import MediaHost
from tests.media.image_files import encode
from tests.media.test_host_behaviours import ANSWERS

NAME = "host-portrait.png"
Check = Callable[[HostBehaviour], MediaReport]


@pytest.fixture(scope="module")
def image(samples: Path) -> bytes:
    data = encode("PNG", 1920, 1080)
    (samples / NAME).write_bytes(data)
    return data


@pytest.fixture
def check(media_host: MediaHost, trusting: ssl.SSLContext, image: bytes) -> Iterator[Check]:  # it writes the file
    with MediaChecker(allowed_hosts={"127.0.0.1"}, ssl_context=trusting, sleep=lambda _: None) as checker:

        def run(behaviour: HostBehaviour) -> MediaReport:
            media_host.behaviours["i"] = behaviour
            url = media_host.url(f"behaviour/i/{NAME}")
            return checker._check_blocking(f"{url}?sig=CANARY", MediaRole.IMAGE)

        yield run
    media_host.behaviours.clear()


@pytest.mark.parametrize("name", ANSWERS)
def test_image_is_read_from_every_host(name: str, check: Check, image: bytes) -> None:
    report = check(ANSWERS[name])
    assert report.reasons == []
    assert isinstance(report.facts, ImageFacts)
    assert (report.facts.width, report.facts.size_bytes) == (1920, len(image))
    assert report.facts.sha256 == hashlib.sha256(image).hexdigest()


@pytest.mark.parametrize("content_type", ["text/html", "application/octet-stream", "image/jpeg", "video/mp4"])
def test_kind_is_that_of_the_bytes(content_type: str, check: Check) -> None:
    report = check(HostBehaviour(headers={"content-type": content_type}))
    assert report.reasons == []
    assert isinstance(report.facts, ImageFacts)
    assert report.facts.format == "png"
