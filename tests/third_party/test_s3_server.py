"""The S3 server of the tests accepts what S3 accepts, and refuses the rest with S3's errors."""

from __future__ import annotations

import io
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import obstore
import pytest
from obstore.store import S3Store

from tests.s3_server import KEY_ID, REGION, SECRET_KEY, S3Server, running_s3_server
from tests.s3_signatures import NEVER, Credential

pytestmark = pytest.mark.system  # the server and its signatures take over 5 seconds in all

DATA = bytes(range(256)) * 16
HOUR = timedelta(hours=1)
ODD_KEY = "people/Ada Lovelace/ä+b=c&d,'(1)'~%41.mov"


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with running_s3_server() as server:
        yield server


@pytest.fixture
def server(running: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    from moto.s3.models import s3_backends

    monkeypatch.setattr(running, "region", REGION)
    running.credentials = {KEY_ID: Credential(SECRET_KEY)}
    running.requests.clear()
    running.create_bucket("recordings")
    running.put("recordings", "ada.mov", DATA)
    yield running
    s3_backends.reset()
    running.clock_offset = timedelta(0)
    running.expired_before = NEVER
    running.denied.clear()


def store(server: S3Server, bucket: str = "recordings", **options: str) -> S3Store:
    settings = {
        "access_key_id": KEY_ID,
        "secret_access_key": SECRET_KEY,
        "region": REGION,
        "endpoint": server.endpoint,
    } | options
    return S3Store(
        bucket,
        config=settings,  # type: ignore[arg-type]  # the keys are those of S3Config
        client_options={"root_certificate": server.ca_file.read_bytes()},
        retry_config={"max_retries": 0},
    )


def get(server: S3Server, url: str, **headers: str) -> httpx.Response:
    context = ssl.create_default_context(cafile=str(server.ca_file))
    with httpx.Client(verify=context) as client:
        return client.get(url, headers=headers)


def sign(server: S3Server, key: str = "ada.mov", expires: timedelta = HOUR, **options: str) -> str:
    return obstore.sign(store(server, **options), "GET", key, expires)


def code(response: httpx.Response) -> str:
    return response.text.partition("<Code>")[2].partition("</Code>")[0]


def test_signed_url_returns_the_object(server: S3Server) -> None:
    response = get(server, sign(server))
    assert (response.status_code, response.content) == (200, DATA)


def test_signed_url_of_an_odd_key_returns_the_object(server: S3Server) -> None:
    server.put("recordings", ODD_KEY, DATA)
    assert get(server, sign(server, ODD_KEY)).content == DATA
    assert obstore.get(store(server), ODD_KEY).bytes() == DATA


def test_signed_url_with_one_changed_character_is_refused(server: S3Server) -> None:
    url = sign(server)
    changed = url[:-1] + ("0" if url[-1] != "0" else "1")
    for other in (changed, url.replace("ada.mov", "adb.mov"), url.replace("Expires=3600", "Expires=3601")):
        response = get(server, other)
        assert (response.status_code, code(response)) == (403, "SignatureDoesNotMatch")


def test_signed_url_is_refused_once_it_expires(server: S3Server) -> None:
    url = sign(server)
    server.clock_offset = timedelta(minutes=59)
    assert get(server, url).status_code == 200
    server.clock_offset = timedelta(minutes=61)
    response = get(server, url)
    assert (response.status_code, code(response)) == (403, "AccessDenied")
    assert "Request has expired" in response.text


def test_signed_url_made_before_a_given_time_is_refused(server: S3Server) -> None:
    url = sign(server)
    server.expired_before = datetime.now(UTC) + timedelta(seconds=1)
    assert get(server, url).status_code == 403


def test_signed_url_for_more_than_a_week_is_refused(server: S3Server) -> None:
    response = get(server, sign(server, expires=timedelta(days=8)))
    assert (response.status_code, code(response)) == (400, "AuthorizationQueryParametersError")


def test_unsigned_request_is_refused(server: S3Server) -> None:
    response = get(server, f"{server.endpoint}/recordings/ada.mov")
    assert (response.status_code, code(response)) == (403, "AccessDenied")


def test_unknown_key_id_is_refused(server: S3Server) -> None:
    response = get(server, sign(server, access_key_id="AKIAOTHER"))
    assert (response.status_code, code(response)) == (403, "InvalidAccessKeyId")


def test_signed_url_for_get_is_refused_for_head(server: S3Server) -> None:
    context = ssl.create_default_context(cafile=str(server.ca_file))
    response = httpx.head(sign(server), verify=context)
    assert (response.status_code, response.content) == (403, b"")


def test_wrong_region_is_refused_with_the_right_one(server: S3Server) -> None:
    response = get(server, sign(server, region="us-east-1"))
    assert (response.status_code, code(response)) == (400, "AuthorizationQueryParametersError")
    assert f"<Region>{REGION}</Region>" in response.text
    with pytest.raises(obstore.exceptions.GenericError, match="AuthorizationHeaderMalformed"):
        obstore.get(store(server, region="us-east-1"), "ada.mov")


def test_bucket_of_another_region_is_redirected(server: S3Server) -> None:
    server.create_bucket("elsewhere", region="us-west-2")
    response = get(server, sign(server).replace("/recordings/", "/elsewhere/"))
    assert response.status_code == 403
    response = get(server, obstore.sign(store(server, "elsewhere"), "GET", "ada.mov", HOUR))
    assert (response.status_code, code(response)) == (301, "PermanentRedirect")
    assert response.headers["x-amz-bucket-region"] == "us-west-2"


def test_virtual_hosted_request_is_verified(server: S3Server) -> None:
    port = urlsplit(server.endpoint).port
    virtual = sign(server, endpoint=f"https://recordings.s3.localhost:{port}", virtual_hosted_style_request="true")
    host = f"recordings.s3.localhost:{port}"
    assert virtual.startswith(f"https://{host}/ada.mov?")
    url = virtual.replace(f"https://{host}", server.endpoint)
    assert get(server, url, Host=host).content == DATA
    # The host is part of the signature: as path style, the same signature is wrong.
    assert get(server, url.replace("/ada.mov", "/recordings/ada.mov")).status_code == 403


def test_range_and_if_match_of_signed_url(server: S3Server) -> None:
    url = sign(server)
    whole = get(server, url)
    part = get(server, url, Range="bytes=256-511", **{"If-Match": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, DATA[256:512])
    assert part.headers["content-range"] == f"bytes 256-511/{len(DATA)}"
    response = get(server, url, **{"If-Match": '"other"'})
    assert (response.status_code, code(response)) == (412, "PreconditionFailed")


def test_session_token_is_required_and_compared(server: S3Server) -> None:
    server.credentials[KEY_ID] = Credential(SECRET_KEY, "canary-session-token")
    assert get(server, sign(server, session_token="canary-session-token")).status_code == 200
    assert code(get(server, sign(server, session_token="another"))) == "InvalidToken"
    assert code(get(server, sign(server))) == "InvalidToken"


def test_archived_object_is_refused(server: S3Server) -> None:
    server.set_storage_class("recordings", "ada.mov", "GLACIER")
    response = get(server, sign(server))
    assert (response.status_code, code(response)) == (403, "InvalidObjectState")
    head = obstore.head(store(server), "ada.mov")
    assert head["size"] == len(DATA)


def test_missing_object_and_bucket_have_codes(server: S3Server) -> None:
    assert code(get(server, sign(server, "other.mov"))) == "NoSuchKey"
    with pytest.raises(FileNotFoundError, match="NoSuchKey"):
        obstore.get(store(server), "other.mov")


def test_denied_object_is_refused(server: S3Server) -> None:
    server.denied.add("recordings/ada.mov")
    assert get(server, sign(server)).status_code == 403
    with pytest.raises(obstore.exceptions.PermissionDeniedError):
        obstore.head(store(server), "ada.mov")


def test_multipart_upload_is_visible_only_once_complete(server: S3Server) -> None:
    seen: list[dict[str, int]] = []
    server.before_request = lambda _request: seen.append(server.sizes("recordings"))
    data = bytes(5 * 2**20) + b"end" * 1000
    try:
        obstore.put(store(server), "big.mov", io.BytesIO(data), chunk_size=5 * 2**20)
    finally:
        server.before_request = None
    assert [request.method for request in server.requests] == ["POST", "PUT", "PUT", "POST"]
    assert all("big.mov" not in sizes for sizes in seen)
    assert server.read("recordings", "big.mov") == data
    assert server.open_uploads("recordings") == []
    obstore.delete(store(server), "big.mov")
    assert "big.mov" not in server.sizes("recordings")


def test_changed_body_of_signed_put_is_refused(server: S3Server) -> None:
    url = obstore.sign(store(server), "PUT", "new.mov", HOUR)
    context = ssl.create_default_context(cafile=str(server.ca_file))
    assert httpx.put(url, content=b"any body", verify=context).status_code == 200
    assert httpx.put(url.replace("new.mov", "other.mov"), content=b"", verify=context).status_code == 403
    assert "other.mov" not in server.sizes("recordings")


def test_object_of_a_sparse_file_is_read_by_ranges(server: S3Server, tmp_path: Path) -> None:
    path = tmp_path / "huge.mov"
    with path.open("wb") as file:
        file.write(b"first")
        file.seek(1_400_000_000)
        file.write(b"last!")
    server.put("recordings", "huge.mov", path)
    assert obstore.head(store(server), "huge.mov")["size"] == 1_400_000_005
    assert obstore.get_range(store(server), "huge.mov", start=1_400_000_000, length=5).to_bytes() == b"last!"
    etag = get(server, sign(server, "huge.mov"), Range="bytes=0-4").headers["etag"]
    response = get(server, sign(server, "huge.mov"), Range="bytes=0-4", **{"If-Match": etag})
    assert (response.status_code, response.content) == (206, b"first")
    assert get(server, sign(server, "huge.mov"), Range="bytes=0-4", **{"If-Match": '"no"'}).status_code == 412
