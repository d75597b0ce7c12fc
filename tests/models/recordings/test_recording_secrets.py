"""The secrets of a request's URLs: signatures and tokens, not ordinary words or public parameters."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from models.recordings.recording_secrets import (
    protect_request,
    protect_urls,
    register_credentials,
    register_password,
    secrets_of_url,
)
from models.request import ProvisioningRequest
from models.text import redaction
from models.text.redaction import redact

SIGNATURE = "canary0123456789abcdef0123456789abcdef"
AWS = (
    "https://bucket.s3.amazonaws.com/ada/dataset.mp4?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIACANARY0123456789%2F20261126%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20261126T000000Z"
    f"&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&response-content-type=video%2Fmp4&X-Amz-Signature={SIGNATURE}"
)


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        (AWS, SIGNATURE),
        (AWS, "AKIACANARY0123456789/20261126/us-east-1/s3/aws4_request"),
        (AWS, "AKIACANARY0123456789"),
        ("https://a/b.mp4?sv=2022-11-02&se=2026-11-27&sr=b&sp=r&sig=can%2Fary%2Bk3y%3D", "can/ary+k3y="),
        ("https://a/b.mp4?sv=2022-11-02&sig=can%2Fary%2Bk3y%3D", "can%2Fary%2Bk3y%3D"),
        ("https://a/b.mp4?hdnts=st=1~exp=2~acl=/*~hmac=canary0123456789", "canary0123456789"),
        ("https://a/b.mp4?token=eyJhbGciOi.eyJjYW5hcnki.canary-k3y", "eyJhbGciOi.eyJjYW5hcnki.canary-k3y"),
        ("https://a/b.mp4?id=0f8fad5b-d9cb-469f-a165-70867728950e", "0f8fad5b-d9cb-469f-a165-70867728950e"),
        ("https://a/b.mp4?x=AbCanaryKeyWithManyLetters", "AbCanaryKeyWithManyLetters"),
        ("https://p/fetch?url=https%3A%2F%2Fa%2Fb%3Fsig%3Dcanary-k3y-0123", "canary-k3y-0123"),
        ("https://ada:can%2Dary-pa55@a/b.mp4", "can-ary-pa55"),
    ],
)
def test_signatures_and_tokens_are_secrets(url: str, secret: str) -> None:
    assert secret in set(secrets_of_url(url))


@pytest.mark.parametrize("name", ["pw", "pass", "sid", "session_id", "ticket", "hash", "nonce", "PASSWORD", "otp"])
def test_value_of_a_parameter_named_as_a_secret_is_one(name: str) -> None:
    assert "canary22" in set(secrets_of_url(f"https://a/b.mp4?{name}=canary22"))


def test_half_that_the_request_shows_is_not_replaced() -> None:
    half = "ada-2026-4711"
    with protect_urls([f"https://a/{half}.mp4?key={half}-9f8e7d6c5b4a3"], shown=[]):
        assert redact(f"{half}.mp4 is too short, -9f8e7d6c5b4a3 too") == f"{half}.mp4 is too short, … too"


@pytest.mark.parametrize(
    "public",
    ["AWS4-HMAC-SHA256", "20261126T000000Z", "3600", "host", "video/mp4", "video%2Fmp4"],
)
def test_public_parameters_are_no_secrets(public: str) -> None:
    assert public not in set(secrets_of_url(AWS))


@pytest.mark.parametrize(
    "query",
    [
        "file=interview-with-ada-2024-05-01.mp4",
        "name=Ada+Lovelace+of+London&lang=en-US",
        "version=2024-05-01T10:00:00.000Z123",
        "auth=download&key=dataset",
        "session=2026-11-26&key=2026-11-26T19:20:01Z",
        "v=1&v=2&v",
        "",
    ],
)
def test_ordinary_words_are_no_secrets(query: str) -> None:
    assert set(secrets_of_url(f"https://a/b?{query}")) <= {f"?{query}"}


def request(url: str, **changes: object) -> ProvisioningRequest:
    fields = {"name": "Ada", "dataset_video": url, "consent_video": "https://a/consent.mp4", **changes}
    return ProvisioningRequest.model_validate(fields)


@pytest.mark.parametrize(
    "echo",
    [
        AWS.removeprefix("https://bucket.s3.amazonaws.com"),
        quote(AWS.removeprefix("https://bucket.s3.amazonaws.com"), safe=""),
        AWS.partition("?")[2],
        AWS.partition("?")[2].replace("&", "&amp;"),
        AWS.partition("?")[2].replace("&", r"\u0026"),
        SIGNATURE.upper(),
        base64.b64encode(AWS[8:].encode()).decode(),
        AWS.partition("?")[2].encode().hex(),
        f"{SIGNATURE[:20]}\n{SIGNATURE[20:]}",
    ],
)
def test_echo_without_the_host_is_redacted(echo: str) -> None:
    with protect_request(request(AWS)):
        redacted = redact(f"cannot read {echo} now")
    assert redacted.startswith("cannot read ")
    assert redacted.endswith(" now")
    assert SIGNATURE not in redacted.lower().replace("\n", "")
    assert base64.b64encode(SIGNATURE.encode()).decode()[4:-4] not in redacted
    assert SIGNATURE.encode().hex() not in redacted
    assert SIGNATURE not in redact(f"cannot read {AWS} now")


def test_what_the_request_shows_is_not_a_secret() -> None:
    url = "https://a/take-canary0123456789/b.mp4?id=creator-2026-0471122&take=canary0123456789&sig=canary-k3y-0123"
    shown = request(url, reference="creator-2026-0471122", extras={"note": "by Creator-2026-0471122"})
    text = "creator-2026-0471122 of canary0123456789"
    with protect_request(shown):
        assert redact(text) == text
        assert redact("sent canary-k3y-0123") == "sent …"


def test_enclosing_scope_of_the_request_stays() -> None:
    with protect_urls(["https://a/b?sig=canary-k3y-0123"]):
        with protect_urls(["https://a/b?sig=canary-k3y-4567"]):
            assert redact("canary-k3y-0123") == "…"
        assert redact("canary-k3y-0123") == "…"
    assert redact("canary-k3y-0123") == "canary-k3y-0123"


@pytest.mark.parametrize(
    ("url", "text", "expected"),
    [
        ("postgresql+asyncpg://ada:can%2Fary-k3y@h/db", "user ada, password can/ary-k3y", "user ada, password …"),
        ("postgresql://ada:can/ary@k3y@h/db", "can/ary@k3y", "…"),
        ("postgresql://ada:can-k3y0@h/db?application_name=a@b", "can-k3y0", "…"),
        ("postgresql://ada@h/db?password=can%2Bk3y0&sslpassword=can-k3y1", "can+k3y0 or can-k3y1", "… or …"),
        ("postgresql://h/db?user=ada&options=--x=y", "ada --x=y", "ada --x=y"),
        ("postgresql://ada:postgres@h/db", "postgresql", "postgresql"),
        ("sqlite+aiosqlite:////a/b@c/d.db", "/a/b@c/d.db", "/a/b@c/d.db"),
    ],
)
def test_password_of_a_url_is_redacted(url: str, text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_registered_secrets", [])
    register_password(url)
    assert redact(text) == expected


@pytest.mark.parametrize("password", ["canary:k3y", "can//ary@k3y", "//canary@k3y", "canary@h/k3y"])
def test_password_of_credentials_is_redacted(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_registered_secrets", [])
    register_credentials(f"ada:{password}")
    assert redact(f"ada and {password}") == "ada and …"
    header = base64.b64encode(f"ada:{password}".encode()).decode()
    assert redact(f"Authorization: Basic {header}").startswith("Authorization: Basic YWRhO")
    assert "…" in redact(header)
