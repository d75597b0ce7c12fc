"""Signed URLs have the form of their store, name the object exactly, and end before no session does."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from media.stores.signing import UrlSigner
from models.errors import StoreUnavailable
from tests.fakes import FakeClock

S3 = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "canary-secret", "AWS_REGION": "eu-west-1"}
AZURE = {"AZURE_STORAGE_ACCOUNT_NAME": "account1", "AZURE_STORAGE_ACCOUNT_KEY": "Y2FuYXJ5LWtleQ=="}
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment with the credentials of AWS and Azure."""
    for name, value in {**S3, **AZURE}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture(scope="module")
def service_account() -> str:
    """The key of a service account of Google Cloud that does not exist."""
    private_key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps(
        {
            "type": "service_account",
            "client_email": "signer@project.iam.gserviceaccount.com",
            "private_key_id": "1",
            "private_key": private_key.decode(),
            "token_uri": f"{NOWHERE}/token",
        }
    )


@pytest.mark.parametrize(
    ("uri", "endpoint", "style", "address"),
    [
        ("s3://bucket/a/b.mp4", "", "", "https://bucket.s3.eu-west-1.amazonaws.com/a/b.mp4"),
        ("s3://bucket/a/b.mp4", "", "false", "https://s3.eu-west-1.amazonaws.com/bucket/a/b.mp4"),
        ("s3://dotted.bucket/b.mp4", "", "", "https://s3.eu-west-1.amazonaws.com/dotted.bucket/b.mp4"),
        ("s3://bucket/b.mp4", "https://store.example:9000", "", "https://store.example:9000/bucket/b.mp4"),
        ("s3://bucket/b.mp4", "https://store.example", "true", "https://bucket.store.example/b.mp4"),
        ("s3://bucket/A%20b%2Bc%25%C3%A4.mp4", "", "", "https://bucket.s3.eu-west-1.amazonaws.com/A b+c%ä.mp4"),
    ],
)
async def test_s3_url_has_the_form_of_its_endpoint(
    environment: pytest.MonkeyPatch, uri: str, endpoint: str, style: str, address: str
) -> None:
    environment.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", style)
    if endpoint:  # it has precedence over the variables of AWS
        environment.setenv("AWS_ENDPOINT_URL_S3", "https://elsewhere.example")
    parts = urlsplit((await UrlSigner(endpoint, 86400).sign(uri)).url)
    assert f"https://{parts.netloc}{unquote(parts.path)}" == address
    query = parse_qs(parts.query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["86400"]
    assert query["X-Amz-Credential"][0].endswith("/eu-west-1/s3/aws4_request")
    assert len(query["X-Amz-Signature"][0]) == 64


async def test_gcs_url_has_version_4(environment: pytest.MonkeyPatch, service_account: str) -> None:
    environment.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", service_account)
    parts = urlsplit((await UrlSigner("", 3600).sign("gs://bucket/people/Ada%20L.mp4")).url)
    query = parse_qs(parts.query)
    assert (
        f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://storage.googleapis.com/bucket/people/Ada%20L.mp4"
    )
    assert query["X-Goog-Algorithm"] == ["GOOG4-RSA-SHA256"]
    assert query["X-Goog-Expires"] == ["3600"]
    assert query["X-Goog-Credential"][0].startswith("signer@project.iam.gserviceaccount.com/")
    assert len(query["X-Goog-Signature"][0]) == 512


async def test_azure_url_is_a_service_sas_for_reading(environment: pytest.MonkeyPatch) -> None:
    parts = urlsplit((await UrlSigner("", 3600).sign("az://container/people/ada.mp4")).url)
    query = parse_qs(parts.query)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == (
        "https://account1.blob.core.windows.net/container/people/ada.mp4"
    )
    assert (query["sr"], query["sp"]) == (["b"], ["r"])
    starts, ends = (datetime.fromisoformat(query[name][0]) for name in ("st", "se"))
    assert ends - starts == timedelta(seconds=3600)
    assert query["sig"][0]


async def test_url_of_a_check_is_valid_for_a_shorter_time(environment: pytest.MonkeyPatch) -> None:
    signed = await UrlSigner("", 86400).sign("s3://bucket/a.mp4", max_seconds=300)
    assert "X-Amz-Expires=300&" in signed.url
    assert "X-Amz-Expires=60&" in (await UrlSigner("", 60).sign("s3://bucket/a.mp4", max_seconds=300)).url


async def test_signed_url_is_not_in_its_representation(environment: pytest.MonkeyPatch) -> None:
    assert "X-Amz" not in repr(await UrlSigner("", 60).sign("s3://bucket/a.mp4"))


@pytest.mark.parametrize(
    ("uri", "changes", "cause", "hint"),
    [
        (
            "s3://bucket/a.mp4",
            {
                "AWS_ACCESS_KEY_ID": None,
                "AWS_SECRET_ACCESS_KEY": None,
                "AWS_METADATA_ENDPOINT": f"{NOWHERE}/metadata",
            },
            "no credentials",
            "AWS_ACCESS_KEY_ID",
        ),
        ("s3://bucket/a.mp4", {"AWS_SESSION_TOKEN": ""}, "AWS_SESSION_TOKEN is set, but empty", "unset it"),
        ("s3://bucket/a.mp4", {"AWS_SECRET_ACCESS_KEY": None}, "no credentials", "profiles are not read"),
        (
            "az://container/a.mp4",
            {"AZURE_STORAGE_ACCOUNT_NAME": None},
            "no credentials",
            "AZURE_STORAGE_ACCOUNT_NAME",
        ),
        (
            "az://container/a.mp4",
            {"AZURE_STORAGE_ACCOUNT_KEY": None, "AZURE_STORAGE_SAS_TOKEN": "sv=2023-11-03&sig=canary"},
            "cannot sign another",
            "AZURE_STORAGE_ACCOUNT_KEY",
        ),
        ("gs://bucket/a.mp4", {"GOOGLE_SERVICE_ACCOUNT": "/no/such.json"}, "no credentials", "GOOGLE_APPLICATION"),
        ("gs://bucket/a.mp4", {"GOOGLE_SERVICE_ACCOUNT_KEY": "{canary"}, "gs://bucket", "GOOGLE_APPLICATION"),
    ],
)
async def test_missing_credentials_are_named(
    environment: pytest.MonkeyPatch, uri: str, changes: dict[str, str | None], cause: str, hint: str
) -> None:
    for name, value in changes.items():
        if value is None:
            environment.delenv(name)
        else:
            environment.setenv(name, value)
    with pytest.raises(StoreUnavailable) as raised:
        await UrlSigner("", 60).sign(uri)
    assert cause in raised.value.message
    assert hint in raised.value.hint
    assert "canary" not in str(raised.value.args) + raised.value.hint


async def test_session_of_unknown_end_is_a_warning(environment: pytest.MonkeyPatch) -> None:
    assert (await UrlSigner("", 60).sign("s3://bucket/a.mp4")).warning == ""
    environment.setenv("AWS_SESSION_TOKEN", "canary-session")
    assert "whose end is unknown" in (await UrlSigner("", 60).sign("s3://bucket/a.mp4")).warning


@pytest.mark.parametrize(("seconds", "is_signed"), [(3601, True), (3599, False)])
async def test_session_that_ends_before_the_url_signs_none(
    environment: pytest.MonkeyPatch, seconds: int, is_signed: bool
) -> None:
    clock = FakeClock()
    environment.setenv("AWS_SESSION_TOKEN", "canary-session")
    environment.setenv("AWS_CREDENTIAL_EXPIRATION", (clock.now() + timedelta(seconds=seconds)).isoformat())
    signer = UrlSigner("", 3600, clock)
    if is_signed:
        assert (await signer.sign("s3://bucket/a.mp4")).warning == ""
        return
    with pytest.raises(StoreUnavailable, match=r"the session of its credentials ends at .* UTC") as raised:
        await signer.sign("s3://bucket/a.mp4")
    assert "AVATARS_SIGNED_URL_SECONDS" in raised.value.hint
    assert (await signer.sign("s3://bucket/a.mp4", max_seconds=60)).url  # the URL of a check ends before
