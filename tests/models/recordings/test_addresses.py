"""An address of a recording is an HTTPS URL, or a URI that names one object to every program."""

from __future__ import annotations

import pytest

from models.errors import InvalidRequest, SettingsError
from models.recordings.addresses import ObjectAddress, parse_sources, source_problem, validate_address
from models.recordings.canonical_form import canonical_form, is_signed
from models.recordings.object_store_uris import configure_azure_account
from models.request import parse_request
from models.settings import Settings


@pytest.mark.parametrize(
    ("uri", "bucket", "key"),
    [
        ("s3://bucket/ada.mp4", "bucket", "ada.mp4"),
        ("s3://Old_Bucket.1/a/b.mp4", "Old_Bucket.1", "a/b.mp4"),
        ("gs://my_bucket/Ada%20Lovelace.mp4", "my_bucket", "Ada Lovelace.mp4"),
        ("s3://bucket/a%2Fb+c%25%3F%23.mp4", "bucket", "a/b+c%?#.mp4"),
        ("s3://bucket/%C3%84da/ä..b.mp4", "bucket", "Äda/ä..b.mp4"),
        ("az://container/a.mp4", "container", "a.mp4"),
        ("az://$root/a.mp4", "$root", "a.mp4"),
        ("s3://bucket/" + "a" * 1024, "bucket", "a" * 1024),
    ],
)
def test_uri_names_one_object(uri: str, bucket: str, key: str) -> None:
    assert validate_address(uri) == uri
    address = ObjectAddress.parse(uri)
    assert (address.bucket, address.key) == (bucket, key)


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("s3://bucket", "must name an object"),
        ("s3://bucket/", "must name an object"),
        ("s3:///a.mp4", "must be s3://BUCKET/KEY"),
        ("s3://../a.mp4", "must be s3://BUCKET/KEY"),
        ("s3://user@bucket/a.mp4", "must be s3://BUCKET/KEY"),
        ("s3://bucket:443/a.mp4", "must be s3://BUCKET/KEY"),
        ("s3://buck%65t/a.mp4", "must be s3://BUCKET/KEY"),
        ("az://account.blob.core.windows.net/container/a.mp4", "must be az://CONTAINER/KEY"),
        ("az://Container/a.mp4", "must be az://CONTAINER/KEY"),
        ("az://container/folder./a.mp4", "ends with a dot"),
        ("az://container/.../a.mp4", "ends with a dot"),
        ("s3://allowed/../x", "segment . or .."),
        ("s3://allowed/./x", "segment . or .."),
        ("s3://allowed/a/%2e%2e/x", "segment . or .."),
        ("s3://allowed/a/.%2E/x", "segment . or .."),
        ("s3://allowed/a%2f..%2fx", "segment . or .."),
        ("s3://allowed/a/%252e%252e/x", "segment . or .."),
        ("s3://allowed/a/%25252e./x", "segment . or .."),
        ("s3://allowed//x", "empty segment"),
        ("s3://allowed/a//x", "empty segment"),
        ("s3://allowed/a/", "empty segment"),
        ("s3://allowed/%2Fx", "empty segment"),
        ("s3://allowed/a%5C..%5Cx", "backslash"),
        ("s3://allowed/a\\x", "%5C"),
        ("s3://allowed/a%00x", "control character"),
        ("s3://allowed/a%0Ax", "line break"),
        ("s3://allowed/a%E2%80%AEx", "control character"),
        ("s3://allowed/100%.mp4", "written %25"),
        ("s3://allowed/%zz.mp4", "written %25"),
        ("s3://allowed/%ff.mp4", "key in UTF-8"),
        ("s3://allowed/a b.mp4", "written %20"),
        ("s3://allowed/a.mp4?X-Amz-Signature=canary", "written %3F"),
        ("s3://allowed/a.mp4#t=1", "written %23"),
        ("s3://allowed/a\n.mp4", "white space"),
        ("s3://allowed/a\u200b.mp4", "control characters"),
        ("s3://bucket/" + "a" * 1025, "at most 1,024 bytes"),
        ("S3://bucket/a.mp4", "s3:// in lower case"),
        ("Gs://bucket/a.mp4", "gs:// in lower case"),
        ("http://bucket/a.mp4", "must begin with https://, s3://, gs:// or az://"),
        ("ftp://bucket/a.mp4", "must begin with https://, s3://, gs:// or az://"),
        ("s3:/bucket/a.mp4", "must begin with https://, s3://, gs:// or az://"),
        ("ada.mov", "must begin with https://, s3://, gs:// or az://"),
    ],
)
def test_malformed_address_is_refused_with_its_rule(address: str, rule: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # each rule has its own message
        validate_address(address)
    assert rule in str(raised.value)


@pytest.mark.parametrize(
    "path",
    ["/home/ada.mov", "./ada.mov", "../ada.mov", "~/ada.mov", "file:///ada.mov", "C:\\ada.mov", "c:/ada.mov"],
)
def test_local_path_is_refused_with_the_way_out(path: str) -> None:
    with pytest.raises(InvalidRequest, match="the commands of `avatars` only"):
        parse_request({"name": "Ada", "dataset_video": path, "consent_video": "https://host.example/a.mp4"})


def test_error_of_a_uri_shows_no_query() -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_request(
            {
                "name": "Ada",
                "dataset_video": "s3://bucket/a.mp4?X-Amz-Signature=canary",
                "consent_video": "https://host.example/a.mp4",
            }
        )
    assert "canary" not in raised.value.message


ALLOWED = parse_sources(["s3://allowed", "s3://shared/people/ada%20l/", "az://container/in"])


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("https://host.example/a.mp4", True),
        ("s3://allowed/a.mp4", True),
        ("s3://allowed/any/folder/a.mp4", True),
        ("s3://shared/people/ada l/a.mp4".replace(" ", "%20"), True),
        ("s3://shared/people%2Fada%20l/a.mp4", True),
        ("s3://shared/people/ada%20l", True),
        ("az://container/in/a.mp4", True),
        ("s3://allowed-2/a.mp4", False),
        ("s3://Allowed/a.mp4", False),
        ("s3://allowe/a.mp4", False),
        ("s3://other-bucket/a.mp4", False),
        ("gs://allowed/a.mp4", False),
        ("s3://shared/people/ada%20lovelace/a.mp4", False),
        ("s3://shared/people/Ada%20l/a.mp4", False),
        ("s3://shared/people", False),
        ("s3://shared/a.mp4", False),
        ("az://container/in2/a.mp4", False),
        ("az://container-2/in/a.mp4", False),
    ],
)
def test_source_allows_whole_segments_of_its_own_bucket(address: str, is_allowed: bool) -> None:
    problem = source_problem(address, ALLOWED)
    assert (problem == "") is is_allowed
    assert is_allowed or "AVATARS_SOURCES" in problem


def test_no_source_is_allowed_by_default() -> None:
    assert "AVATARS_SOURCES lists no bucket" in source_problem("s3://bucket/a.mp4", frozenset())


def test_sources_are_case_sensitive_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVATARS_SOURCES", " s3://bucket/Ada , gs://b2 ,")
    settings = Settings.load()
    assert settings.avatars_sources == {"s3://bucket/Ada", "gs://b2"}
    assert source_problem("s3://bucket/ada/a.mp4", settings.sources)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AVATARS_SOURCES", "bucket"),
        ("AVATARS_SOURCES", "https://bucket.s3.amazonaws.com/"),
        ("AVATARS_SOURCES", "s3://"),
        ("AVATARS_SOURCES", "s3://*"),
        ("AVATARS_SOURCES", "s3://bucket/*"),
        ("AVATARS_SOURCES", "s3://bucket/ada*/"),
        ("AVATARS_SOURCES", "s3://bucket//"),
        ("AVATARS_SOURCES", "s3://bucket/../"),
        ("AVATARS_S3_ENDPOINT", "http://store.example"),
        ("AVATARS_S3_ENDPOINT", "store.example"),
        ("AVATARS_S3_ENDPOINT", "https://store.example/path"),
        ("AVATARS_S3_ENDPOINT", "https://key:secret@store.example"),
        ("AVATARS_S3_ENDPOINT", "https://store.example?x=1"),
        ("AVATARS_S3_ENDPOINT", "https://store.example:99999"),
        ("AVATARS_SIGNED_URL_SECONDS", "604801"),
        ("AVATARS_SIGNED_URL_SECONDS", "0"),
        ("AVATARS_SIGNED_URL_SECONDS", "nan"),
    ],
)
def test_malformed_setting_of_a_store_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as raised:
        Settings.load()
    assert "secret@" not in raised.value.message


def test_settings_of_stores_have_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load()
    assert (settings.avatars_sources, settings.avatars_s3_endpoint) == (frozenset(), None)
    assert settings.avatars_signed_url_seconds == 86400
    monkeypatch.setenv("AVATARS_S3_ENDPOINT", "https://store.example:9000/")
    assert Settings.load().avatars_s3_endpoint == "https://store.example:9000"


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("https://bucket.s3.eu-west-1.amazonaws.com/a/Ada%20L.mp4?X-Amz-Signature=1", "s3://bucket/a/Ada%20L.mp4"),
        ("https://s3.amazonaws.com/bucket/a.mp4", "s3://bucket/a.mp4"),
        ("https://storage.googleapis.com/bucket/a.mp4?X-Goog-Signature=1", "gs://bucket/a.mp4"),
        ("https://account1.blob.core.windows.net/container/a.mp4?sv=2023-11-03&sig=x", "az://container/a.mp4"),
    ],
)
def test_uri_and_url_of_one_object_are_the_same_request(
    url: str, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account1")
    Settings.load()
    try:
        by_url, by_uri = (
            parse_request({"name": "Ada", "dataset_video": address, "consent_video": address}).fingerprint
            for address in (url, uri)
        )
    finally:
        configure_azure_account("")
    assert by_url == by_uri


def test_blob_of_another_account_is_another_recording() -> None:
    configure_azure_account("account2")
    try:
        assert canonical_form("az://container/a.mp4") != canonical_form(
            "https://account1.blob.core.windows.net/container/a.mp4"
        )
    finally:
        configure_azure_account("")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://bucket.s3.amazonaws.com/a.mp4?X-Amz-Signature=1&X-Amz-Date=2", True),
        ("https://account1.blob.core.windows.net/c/a.mp4?sv=2023-11-03&sig=" + "x" * 24, True),
        ("https://storage.googleapis.com/bucket/a.mp4?X-Goog-Signature=1", True),
        ("https://host.example/dl?id=good1", False),
        ("https://host.example/a.mp4", False),
        ("s3://bucket/a.mp4", False),
        ("https://[::1/a?X-Amz-Signature=1", False),
    ],
)
def test_url_with_a_signature_is_recognized(address: str, expected: bool) -> None:
    assert is_signed(address) is expected
