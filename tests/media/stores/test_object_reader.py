"""A HEAD tells whether an object is the one that was checked; each refusal of a store has its cause and remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from media.stores.object_reader import ObjectReader
from media.stores.signing import UrlSigner
from models.errors import MediaRejected, StoreUnavailable
from models.media.codes import MediaCode
from tests.fakes import FakeClock
from tests.s3_recordings import BUCKET, DATASET, s3, session_s3  # noqa: F401  # fixtures
from tests.s3_server import S3Server

KEY = "people/ada/dataset.mp4"


@pytest.fixture
def signer(s3: S3Server) -> UrlSigner:  # noqa: F811
    return UrlSigner(s3.endpoint, 86400)


@pytest.fixture
def reader(signer: UrlSigner) -> Iterator[ObjectReader]:
    with ObjectReader(signer, sleep=lambda _: None) as opened:
        yield opened


async def test_version_has_etag_and_size(reader: ObjectReader, s3: S3Server) -> None:  # noqa: F811
    version = await reader.read_version(DATASET)
    assert version is not None
    assert version.size_bytes == len(DATASET)
    assert version.etag is not None
    assert await reader.read_version(DATASET, version.etag) == version
    assert [(request.method, request.if_match) for request in s3.requests] == [("HEAD", ""), ("HEAD", version.etag)]


async def test_version_of_a_changed_object_is_none(reader: ObjectReader, s3: S3Server) -> None:  # noqa: F811
    version = await reader.read_version(DATASET)
    s3.put(BUCKET, KEY, b"other")
    assert await reader.read_version(DATASET, version.etag if version else None) is None


def deny(server: S3Server) -> None:
    server.denied.add(BUCKET)


def reject_key(server: S3Server) -> None:
    server.credentials = {}


def archive(server: S3Server) -> None:
    server.set_storage_class(BUCKET, KEY, "GLACIER")


def move_region(server: S3Server) -> None:
    server.region = "us-east-2"


REFUSALS: dict[str, tuple[Callable[[S3Server], None], str, type[Exception], str, str]] = {
    "no permission": (deny, DATASET, StoreUnavailable, "may not read the object", "s3:GetObject"),
    "unknown key": (reject_key, DATASET, StoreUnavailable, "does not accept the credentials", "AWS_ACCESS_KEY_ID"),
    "wrong region": (move_region, DATASET, StoreUnavailable, "the region is wrong", "AWS_REGION"),
    "no bucket": (
        lambda _: None,
        "s3://no-such-bucket/a.mp4",
        StoreUnavailable,
        "bucket does not exist",
        "SOURCES",
    ),
    "no object": (lambda _: None, f"s3://{BUCKET}/no.mp4", MediaRejected, "does not exist", "typos"),
    "archived": (archive, DATASET, MediaRejected, "is in an archive", "restore"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_refusal_has_its_cause_and_remedy(case: str, reader: ObjectReader, s3: S3Server) -> None:  # noqa: F811
    prepare, uri, error, cause, hint = REFUSALS[case]
    prepare(s3)
    with pytest.raises((MediaRejected, StoreUnavailable)) as raised:
        await reader.read_version(uri)
    assert type(raised.value) is error
    assert cause in raised.value.message
    assert hint in raised.value.hint
    assert "X-Amz-" not in raised.value.message
    assert all(request.method == "HEAD" or request.range == "bytes=0-0" for request in s3.requests)


async def test_rejections_have_the_code_of_their_rule(reader: ObjectReader, s3: S3Server) -> None:  # noqa: F811
    with pytest.raises(MediaRejected) as missing:
        await reader.read_version(f"s3://{BUCKET}/no.mp4")
    s3.set_storage_class(BUCKET, KEY, "DEEP_ARCHIVE")
    with pytest.raises(MediaRejected) as archived:
        await reader.read_version(DATASET)
    assert missing.value.rule_code is MediaCode.NOT_FOUND
    assert archived.value.rule_code is MediaCode.COLD_STORAGE


async def test_wrong_clock_is_named(signer: UrlSigner, s3: S3Server) -> None:  # noqa: F811
    s3.denied.add(BUCKET)
    with (
        ObjectReader(signer, clock=FakeClock(), sleep=lambda _: None) as late,
        pytest.raises(StoreUnavailable, match="clock of this machine differs"),
    ):
        await late.read_version(DATASET)


async def test_endpoint_of_the_environment_must_be_public(
    s3: S3Server,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint)
    with (
        ObjectReader(UrlSigner("", 60), sleep=lambda _: None) as reader,
        pytest.raises(StoreUnavailable, match="not a public address") as raised,
    ):
        await reader.read_version(DATASET)
    assert "AVATARS_S3_ENDPOINT" in raised.value.hint
    assert s3.requests == []


async def test_store_that_does_not_answer_is_unavailable(s3: S3Server) -> None:  # noqa: F811
    signer = UrlSigner("https://127.0.0.1:9", 60)
    with (
        ObjectReader(signer, sleep=lambda _: None) as reader,
        pytest.raises(StoreUnavailable, match="no usable response in 3 attempts") as raised,
    ):
        await reader.read_version(DATASET)
    assert "X-Amz-" not in raised.value.message
