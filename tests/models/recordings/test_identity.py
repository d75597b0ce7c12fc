"""The identity of a recording: equivalent URLs share it, URLs of different files do not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.recordings.canonical_form import canonical_form, configure_signature_parameters, shown_form
from models.recordings.identity import RecordingIdentity, identity_digest
from models.recordings.signature_parameters import SIGNATURE_SCHEMES

URL = "https://files.example/q/d~1.mp4"
EPOCH = "1795683600"
MAC = "aiDhHXZGHidbDZZqIY14z1eHhhbZvMlzh_7u9cEIdfI"
HEX = "0123456789abcdef" * 4
ACCOUNT = HEX[:32]
# The parameters by which each store signs, without those that the signer may leave out.
SIGNATURES = {
    "S3 version 4": f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20261126%2Feu%2Fs3%2Faws4_request"
    f"&X-Amz-Date=20261126T090000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature={HEX}",
    "S3 version 4, of a version": "X-Amz-Signature=1&x-id=GetObject&versionId=3&response-content-type=video%2Fmp4",
    "S3 version 2": f"AWSAccessKeyId=AK&Signature=vjby%3D&Expires={EPOCH}",
    "Google version 4": f"X-Goog-Algorithm=GOOG4&X-Goog-Date=20261126T090000Z&X-Goog-Signature={HEX}",
    "Google version 2": f"GoogleAccessId=a%40b&Expires={EPOCH}&Signature=vjby%3D",
    "Google Cloud CDN": f"Expires={EPOCH}&KeyName=key&Signature=4D0AbT4y0O7ZCzCUcAtPOJDkl2g%3D",
    "Azure": f"sv=2024-11-04&st=2026-11-26T09%3A00Z&se=2026-11-27T09%3A00Z&sr=b&sp=r&spr=https&sig={MAC}%3D",
    "Azure, without a version": f"se=2026-11-27&sr=b&sp=r&sig={MAC}%3D",
    "Azure, stored policy": f"sv=2024-11-04&si=readers&sr=c&sig={MAC}%3D",
    "CloudFront": f"Expires={EPOCH}&Signature=a~b-c_&Key-Pair-Id=K1&Hash-Algorithm=SHA256",
    "CloudFront policy": "Policy=eyJTdGF0ZW1lbnQ&Signature=a~b-c_&Key-Pair-Id=K1",
    "Alibaba OSS": f"OSSAccessKeyId=nz2p&Expires={EPOCH}&Signature=vjby%3D&security-token=t",
    "Alibaba OSS version 4": f"x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=a&x-oss-date=d"
    f"&x-oss-expires=9&x-oss-signature={HEX}&x-oss-additional-headers=host",
    "Tencent COS": "q-sign-algorithm=sha1&q-ak=AK&q-sign-time=1%3B2&q-key-time=1%3B2&q-header-list=host"
    f"&q-url-param-list=&q-signature={HEX}",
    "Huawei OBS": f"AccessKeyId=AK&Expires={EPOCH}&Signature=vjby%3D",
    "Volcengine TOS": f"X-Tos-Algorithm=TOS4&X-Tos-Credential=a&X-Tos-Date=d&X-Tos-Signature={HEX}",
    "Qiniu": f"e={EPOCH}&token={MAC}:{MAC}",
    "OpenStack Swift": f"temp_url_sig={HEX}&temp_url_expires={EPOCH}",
    "Cloudflare": f"verify={EPOCH}-{MAC}%3D",
    "Bunny CDN": f"token={MAC}&token_path=%2Fq%2F&expires={EPOCH}",
    "KeyCDN": f"token=xJ5xzmHRMb7QnPvTPSAeDA&expire={EPOCH}",
    "nginx": f"md5=xJ5xzmHRMb7QnPvTPSAeDA&expires={EPOCH}",
    "Fastly": f"token={EPOCH}_{HEX}",
    "CDN77": f"secure={MAC},{EPOCH}",
    "Akamai": f"hdnts=exp={EPOCH}~acl=/*~hmac={HEX}",
    "Cloudinary": f"__cld_token__=exp={EPOCH}~hmac={HEX}",
    "Laravel": f"expires={EPOCH}&signature={HEX}",
    "Laravel, without an end": f"signature={HEX}",
}


@pytest.fixture
def configured() -> Iterator[None]:
    configure_signature_parameters({"Ticket", "until"})
    yield
    configure_signature_parameters(())


def token(**claims: Any) -> str:
    """Return a JSON web token with these claims."""
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "HS256", "typ": "JWT"}, claims)
    )
    return f"{head}.{body}.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example:443/q/d~1.mp4",
        "https://files.example:0443/q/d~1.mp4",
        "https://files.example:/q/d~1.mp4",
        "HTTPS://FILES.example/q/d~1.mp4",
        "https://files.example./q/d~1.mp4",
        "https://f%69les.example/q/d~1.mp4",
        "https://ada:pw@files.example/q/d~1.mp4",
        "https://files.example/q/d%7E1.mp4",
        "https://files.example/q/d%7e1.mp4",
        "https://files.example/q/%64~1.%6dp4",
        "https://files.example/x/../q/d~1.mp4",
        "https://files.example/x/%2E%2e/q/./d~1.mp4",
        "https://files.example/../q/d~1.mp4",
        "https://files.example//q///d~1.mp4",
        "https://files.example/q/d~1.mp4;v=1",
        "https://files.example/q;jsessionid=1/d~1.mp4",
        "https://files.example/q/d~1.mp4?",
        "https://files.example/q/d~1.mp4?&&",
        "https://files.example/q/d~1.mp4#t=3",
        "https://files.example/q/d~1.mp4?#",
    ],
)
def test_equivalent_url_has_the_same_identity(url: str) -> None:
    assert canonical_form(url) == URL
    assert identity_digest(url) == identity_digest(URL)


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("https://h.example/a?b=1&c=2", "https://h.example/a?c=2&b=1"),
        ("https://h.example/a?b=x%20y", "https://h.example/a?b=x+y"),
        ("https://h.example/a?b=%7Ex", "https://h.example/a?%62=~x"),
        ("https://h.example/a?b", "https://h.example/a?b="),
        ("https://h.example", "https://h.example/"),
        ("https://h.example/a%28b%29", "https://h.example/a(b)"),
        ("https://h.example/größe", "https://h.example/gr%C3%B6%c3%9fe"),
        ("https://h.example/50%.mp4", "https://h.example/50%25.mp4"),
        ("https://bücher.example/a", "https://xn--bcher-kva.example/a"),
        ("https://BÜCHER。example/a", "https://xn--bcher-kva.example/a"),
        ("https://[2001:DB8:0::1]/a", "https://[2001:db8::1]:443/a"),
        ("https://[::ffff:192.0.2.1]/a", "https://192.0.2.1/a"),
        ("https://3221225985/a", "https://192.0.2.1/a"),
        ("https://0xC0.0.0x2.01/a", "https://192.0.2.1/a"),
        (
            "https://drive.google.com/uc?export=download&id=1&confirm=t",
            "https://drive.google.com/uc?id=1&export=download",
        ),
        ("https://drive.google.com/uc?id=1", "https://drive.google.com/uc?id=1&export=download"),
        ("https://drive.google.com/u/0/uc?id=1", "https://drive.google.com/uc?id=1&export=download"),
        ("https://dropbox.com/scl/fi/x/a.mp4?rlkey=1", "https://www.dropbox.com/scl/fi/x/a.mp4?rlkey=1"),
        ("https://docs.google.com/uc?id=1&export=download", "https://drive.google.com/uc?id=1"),
        ("https://drive.usercontent.google.com/download?id=1&confirm=t", "https://drive.google.com/uc?id=1"),
        ("https://dl.dropboxusercontent.com/s/x/a.mp4", "https://www.dropbox.com/s/x/a.mp4?dl=1"),
        ("https://dl.dropbox.com/s/x/a.mp4", "https://www.dropbox.com/s/x/a.mp4?raw=1"),
        (f"https://b.{ACCOUNT}.r2.cloudflarestorage.com/x/k", f"https://{ACCOUNT}.r2.cloudflarestorage.com/b/x/k"),
        ("https://my.b.s3.eu-central-1.wasabisys.com/k", "https://s3.eu-central-1.wasabisys.com/my.b/k"),
        ("https://b.s3.wasabisys.com/k", "https://s3.wasabisys.com/b/k"),
        ("https://b.s3.us-west-004.backblazeb2.com/k", "https://s3.us-west-004.backblazeb2.com/b/k"),
        ("https://b.fra1.digitaloceanspaces.com/k", "https://fra1.digitaloceanspaces.com/b/k"),
        (
            f"https://a.b-cdn.net/bcdn_token={MAC}&expires={EPOCH}&token_path=%2Fq%2F/q/a.mp4",
            "https://a.b-cdn.net/q/a.mp4",
        ),
        (f"https://h.example/exp={EPOCH}~acl=%2Fq%2F%2A~hmac={HEX}/q/a.mp4", "https://h.example/q/a.mp4"),
        (f"https://h.example/hdnts=exp={EPOCH}~hmac={HEX}/q/a.mp4", "https://h.example/q/a.mp4"),
        (
            "https://res.cloudinary.com/d/video/upload/s--Ai_4-znf--/v1/a.mp4",
            "https://res.cloudinary.com/d/video/upload/v1/a.mp4",
        ),
        (f"https://d.imgix.video/a.mp4?s={HEX[:32]}&expires={EPOCH}", "https://d.imgix.video/a.mp4"),
        (
            "https://x.sharepoint.com/_layouts/15/download.aspx?UniqueId=1&Translate=false&tempauth=t&ApiVersion=2.0",
            "https://x.sharepoint.com/_layouts/15/download.aspx?UniqueId=1",
        ),
        ("https://💩.la/a", "https://xn--ls8h.la/a"),
        ("https://💩。LA./a", "https://xn--ls8h.la/a"),
        ("https://h.example/a.mp4;v=1;w=2;", "https://h.example/a.mp4"),
        ("https://h.example/a.mp4;v=b.mp4", "https://h.example/a.mp4"),
        (
            "https://www.dropbox.com/scl/fi/x/a.mp4?rlkey=1&st=2&dl=0",
            "https://www.dropbox.com/scl/fi/x/a.mp4?rlkey=3&dl=1",
        ),
        (
            f"https://x.supabase.co/storage/v1/object/sign/b/a.mp4?token={token(exp=1)}",
            f"https://x.supabase.co/storage/v1/object/sign/b/a.mp4?token={token(exp=2, url='b/a.mp4')}",
        ),
        (
            f"https://h.example/dl?token={token(file='1', exp=1, iat=0)}",
            f"https://h.example/dl?token={token(exp=2, iat=1, jti='x', file='1')}",
        ),
        (f"https://h.example/a.mp4?token={token(exp=1)}", "https://h.example/a.mp4"),
        (f"https://h.example/a.mp4?token={token(exp=1, jti='x')}", "https://h.example/a.mp4"),
        (f"https://h.example/a.mp4?token={token()}", "https://h.example/a.mp4"),
        (
            f"https://h.example/dl?token={token(exp=1, jti='x')}",
            f"https://h.example/dl?token={token(exp=2, jti='x')}",
        ),
    ],
)
def test_other_spelling_has_the_same_identity(one: str, same: str) -> None:
    assert canonical_form(one) == canonical_form(same)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://h.example/dl?id=good1", "https://h.example/dl?id=good2"),
        ("https://h.example/dl", "https://h.example/dl?id=good2"),
        ("https://h.example/dl?id=1&id=2", "https://h.example/dl?id=2&id=1"),
        ("https://h.example/dl?b=x%2By", "https://h.example/dl?b=x+y"),
        ("https://h.example/dl?a=1%26b=2", "https://h.example/dl?a=1&b=2"),
        ("https://h.example/a/b", "https://h.example/a%2Fb"),
        ("https://h.example/a/b", "https://h.example/a/b/"),
        ("https://h.example/a", "https://h.example/A"),
        ("https://h.example/a%2541", "https://h.example/aA"),
        ("https://h.example/a%3Fb", "https://h.example/a?b"),
        ("https://h.example/a.mp4%3Bv=1", "https://h.example/a.mp4;v=1"),
        ("https://h.example/video;id=1", "https://h.example/video;id=2"),
        ("https://h.example/a", "https://h.example:8443/a"),
        ("https://h.example/a", "https://g.example/a"),
        ("https://h.example/a+b", "https://h.example/a%20b"),
        ("https://h.example/a.mp4?token=a", "https://h.example/a.mp4?token=b"),
        ("https://h.example/a.mp4?Expires=1", "https://h.example/a.mp4?Expires=2"),
        ("https://h.example/dl?sig=1", "https://h.example/dl?sig=2"),
        ("https://h.example/dl?signature=1&expires=2", "https://h.example/dl?signature=3&expires=2"),
        (
            f"https://h.example/dl?token={MAC}a&expires={EPOCH}",
            f"https://h.example/dl?token={MAC}b&expires={EPOCH}",
        ),
        (f"https://h.example/dl?token={token(file='1')}", f"https://h.example/dl?token={token(file='2')}"),
        ("https://h.example/a?verify=1", "https://h.example/a?verify=2"),
        ("https://h.example/a?x-oss-process=video/snapshot", "https://h.example/a"),
        (
            "https://drive.google.com/uc?export=download&id=1",
            "https://drive.google.com/uc?export=download&id=2",
        ),
        ("https://p.supabase.co/functions/v1/dl?token=ada", "https://p.supabase.co/functions/v1/dl?token=bob"),
        ("https://p.supabase.co/rest/v1/rpc/video?token=1", "https://p.supabase.co/rest/v1/rpc/video?token=2"),
        ("https://p.supabase.co/functions/v1/dl?download=a", "https://p.supabase.co/functions/v1/dl?download=b"),
        (
            f"https://h.example/dl?token={token(exp=1, jti='a')}",
            f"https://h.example/dl?token={token(exp=1, jti='b')}",
        ),
        (f"https://h.example/dl?token={token()}1", f"https://h.example/dl?token={token()}2"),
        (f"https://h.example/dl?token={EPOCH}_{MAC}a", f"https://h.example/dl?token={EPOCH}_{MAC}b"),
        (f"https://h.example/dl?secure={MAC}a,{EPOCH}", f"https://h.example/dl?secure={MAC}b,{EPOCH}"),
        (f"https://h.example/dl?verify={EPOCH}-{MAC}a", f"https://h.example/dl?verify={EPOCH}-{MAC}b"),
        (f"https://h.example/dl?token=id=ada~hmac={HEX}", f"https://h.example/dl?token=id=bob~hmac={HEX}"),
        (f"https://h.example/dl?hdnts=id=ada~hmac={HEX}", f"https://h.example/dl?hdnts=id=bob~hmac={HEX}"),
        ("https://h.example/dl?keyName=ada.mp4&signature=x", "https://h.example/dl?keyName=bob.mp4&signature=x"),
        (
            f"https://h.example/dl?Expires={EPOCH}&KeyName=ada.mp4&Signature={MAC}",
            f"https://h.example/dl?Expires={EPOCH}&KeyName=bob.mp4&Signature={MAC}",
        ),
        ("https://h.example/watch?si=ada&sig=a", "https://h.example/watch?si=bob&sig=a"),
        (f"https://h.example/watch?si=ada&sig={MAC}", f"https://h.example/watch?si=bob&sig={MAC}"),
        ("https://h.example/dl?sig=a&se=ada", "https://h.example/dl?sig=b&se=ada"),
        (f"https://h.example/dl?sig={MAC}&se=ada", f"https://h.example/dl?sig={MAC}&se=bob"),
        (f"https://h.example/dl?sig={MAC}&sv=ada", f"https://h.example/dl?sig={MAC}&sv=bob"),
        (f"https://h.example/dl?signature={HEX}", f"https://h.example/dl?signature={HEX[::-1]}"),
        (
            f"https://h.example/video.mp4?token=ada&expires={EPOCH}",
            f"https://h.example/video.mp4?token=bob&expires={EPOCH}",
        ),
        (
            f"https://h.example/video.mp4?token=ada&expire={EPOCH}",
            f"https://h.example/video.mp4?token=bob&expire={EPOCH}",
        ),
        ("https://h.example/ada.mov;take1.mp4", "https://h.example/ada.mov;take2.mp4"),
        ("https://h.example/a.mp4;b.mp4", "https://h.example/a.mp4;c.mp4"),
        ("https://h.example/clip.mov;2", "https://h.example/clip.mov;3"),
        ("https://drive.google.com/u/0/uc?id=1", "https://drive.google.com/u/0/uc?id=2"),
        ("https://h.example/u/0/uc?id=1", "https://h.example/uc?id=1"),
        ("https://docs.google.com/uc?id=1", "https://drive.google.com/uc?id=2"),
        ("https://drive.usercontent.google.com/u/0/thumbnail?id=1", "https://drive.google.com/uc?id=1"),
        ("https://b.s3.wasabisys.com/k", "https://c.s3.wasabisys.com/k"),
        ("https://b.s3.wasabisys.com/k", "https://b.s3.eu-central-1.wasabisys.com/k"),
        (
            f"https://h.example/exp={EPOCH}~id=ada~hmac={HEX}/video",
            f"https://h.example/exp={EPOCH}~id=bob~hmac={HEX}/video",
        ),
        ("https://h.example/s--Ai_4-znf--/a.mp4", "https://h.example/s--Bi_4-znf--/a.mp4"),
        (f"https://h.example/a.mp4?s={HEX[:32]}", f"https://h.example/a.mp4?s={HEX[1:33]}"),
        ("https://💩.la/a", "https://🎬.la/a"),
        ("s3://b/what?a.mp4", "s3://b/what?b.mp4"),
        ("gs://b/k#1", "gs://b/k#2"),
        ("s3://b/x/../k", "s3://b/k"),
        ("s3://b//k", "s3://b/k"),
        ("https://b.s3.amazonaws.com/a+b", "https://b.s3.amazonaws.com/a%2Bb"),
        ("https://b.s3.amazonaws.com/a//b", "https://b.s3.amazonaws.com/a/b"),
        ("https://b.s3.amazonaws.com/k", "https://c.s3.amazonaws.com/k"),
        ("https://b.s3.amazonaws.com/k", "https://s3.cn-north-1.amazonaws.com.cn/b/k"),
        ("https://one.blob.core.windows.net/c/k", "https://two.blob.core.windows.net/c/k"),
        ("s3://b/k", "gs://b/k"),
    ],
)
def test_different_file_has_another_identity(one: str, other: str) -> None:
    assert identity_digest(one) != identity_digest(other)


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("s3://b/x/a%20b.mp4", "https://b.s3.amazonaws.com/x/a+b.mp4"),
        ("s3://b/x/a%20b.mp4", "https://b.s3.eu-central-1.amazonaws.com/x%2Fa%20b.mp4?versionId=3"),
        ("s3://b/x/a%20b.mp4", "https://B.s3-us-west-2.amazonaws.com:443/y/../x/a%20b.mp4"),
        ("s3://b/x/a%20b.mp4", "https://b.s3.dualstack.ap-southeast-2.amazonaws.com/x/a%20b.mp4"),
        ("s3://b/x/a%20b.mp4", "https://b.s3-accelerate.amazonaws.com/x/a%20b.mp4"),
        ("s3://b/x/a%20b.mp4", "https://b.s3-accelerate.dualstack.amazonaws.com/x/a%20b.mp4"),
        ("s3://b/x/a%20b.mp4", "https://b.s3-fips.us-east-1.amazonaws.com/x/a%20b.mp4"),
        ("s3://b/x/a%20b.mp4", "https://s3.amazonaws.com/b/x/a%20b.mp4?X-Amz-Signature=1"),
        ("s3://b/x/a%20b.mp4", "https://s3.eu-central-1.amazonaws.com/b/x/a%20b.mp4"),
        ("s3://b/x/a%20b.mp4", "https://s3.dualstack.eu-central-1.amazonaws.com/b/x/a%20b.mp4"),
        ("s3://my.b/k", "https://my.b.s3.eu-west-1.amazonaws.com/k?response-content-type=video%2Fmp4"),
        ("s3://b//k", "https://s3.amazonaws.com/b//k"),
        ("gs://b/x/k", "https://storage.googleapis.com/b/x/k?X-Goog-Signature=1"),
        ("gs://b/x/k", "https://b.storage.googleapis.com/x/k?generation=3"),
        ("gs://b/x/k", "https://storage.cloud.google.com/b/x/k?authuser=1"),
        ("gs://b/x/k", "https://storage.googleapis.com/storage/v1/b/b/o/x%2Fk?alt=media"),
        ("gs://b/x/k", "https://storage.googleapis.com/download/storage/v1/b/b/o/x%2Fk?alt=media"),
        ("gs://b/x/k", "https://storage.mtls.googleapis.com/b/x/k"),
        ("gs://b/x/k", "https://storage.mtls.googleapis.com/storage/v1/b/b/o/x%2Fk?alt=media"),
        ("gs://b/x/k", "https://storage.europe-west3.rep.googleapis.com/b/x/k"),
        ("gs://b/x/k", "https://b.storage.europe-west3.rep.googleapis.com/x/k"),
        ("gs://b/x/k", "https://storage.europe-west3.rep.googleapis.com/storage/v1/b/b/o/x%2Fk"),
        ("gs://b/x/k", "https://content-storage.googleapis.com/b/x/k"),
        ("gs://b/x/k", "https://content-storage.googleapis.com/download/storage/v1/b/b/o/x%2Fk?alt=media"),
        ("gs://b/x/k", "https://www.googleapis.com/storage/v1beta2/b/b/o/x%2Fk?alt=media"),
        ("gs://b.appspot.com/x/k", "https://firebasestorage.googleapis.com/v0/b/b.appspot.com/o/x%2Fk?token=1"),
        ("az://acc.blob.core.windows.net/c/x/k", "https://acc.blob.core.windows.net/c/x/k?sv=1&sig=2&snapshot=3"),
        ("az://acc.blob.core.windows.net/c/x/k", "https://acc-secondary.blob.core.windows.net/c/x%2Fk"),
        ("az://acc.blob.core.windows.net/c/x/k", "https://acc.dfs.core.windows.net/c/x/k"),
        ("s3://b/what%3Fa%231.mp4", "https://b.s3.amazonaws.com/what%3Fa%231.mp4"),
        ("s3://b/x/../k", "https://b.s3.amazonaws.com/x%2F..%2Fk"),
        ("az://acc.blob.core.windows.net/$root/k", "https://acc.blob.core.windows.net/k"),
    ],
)
def test_url_of_a_known_store_is_its_uri(uri: str, url: str) -> None:
    assert canonical_form(url) == canonical_form(uri) == uri


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature_is_not_part_of_the_identity(name: str) -> None:
    assert canonical_form(f"{URL}?{SIGNATURES[name]}") == URL
    assert canonical_form(f"{URL}?{SIGNATURES[name]}&id=7") == f"{URL}?id=7"


@pytest.mark.parametrize(
    "text", ["", "no url", "https://", "https://[::1/a", "https://h.example:99999/a", "\ud800"]
)
def test_identity_of_malformed_text_is_its_own(text: str) -> None:
    assert canonical_form(text) == text
    assert len(identity_digest(text)) == 64


def test_key_of_an_object_uri_is_taken_literally() -> None:
    assert canonical_form("S3://b/what?a#1.mp4") == canonical_form("s3://b/what%3Fa%231.mp4")
    assert shown_form("s3://b/what?a#1.mp4") == "s3://b/what%3Fa%231.mp4"


def test_shown_form_has_neither_query_nor_fragment() -> None:
    assert shown_form("https://h.example/a?id=canary&X-Amz-Signature=canary#canary") == "https://h.example/a"
    assert shown_form("https://[::1/a?id=canary#canary") == "https://[::1/a"


@pytest.mark.usefixtures("configured")
def test_configured_parameters_are_dropped_in_any_case() -> None:
    assert canonical_form(f"{URL}?ticket=1&UNTIL=2&id=7") == f"{URL}?id=7"


@pytest.mark.parametrize(
    ("etag", "kept"),
    [
        (f'"{"0a" * 16}"', True),
        (f'"{"0A" * 16}-12"', True),
        (f'W/"{"0a" * 16}"', False),
        ('""', False),
        ("", False),
        ('"1"', False),
        ('"0x8DD0C1E5A7B3F20"', False),
        ('"5f3e1a2b-1a2b3c"', False),
        (None, False),
    ],
)
def test_only_an_etag_of_the_content_counts(etag: str | None, *, kept: bool) -> None:
    assert RecordingIdentity.from_facts(URL, {"etag": etag, "size_bytes": 7}).etag == (etag if kept else None)


# Segments and values of any text, but a segment that names a recording with a path parameter: see the table above.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
names = texts.filter(lambda text: text not in {".", ".."})
paths = st.lists(names, min_size=1, max_size=3)
queries = st.lists(st.tuples(texts.map("p-{}".format), texts), max_size=3)
hosts = st.sampled_from(["files.example", "192.0.2.1", "b.s3.amazonaws.com", "acc.blob.core.windows.net"])


def spell(random: Random, text: str) -> str:
    """Return a percent-encoding of the text, in which any character may be encoded and in either case."""
    encoded = ""
    for character in text:
        is_plain = character.isascii() and (character.isalnum() or character in "-._~")
        if is_plain and random.random() < 0.5:
            encoded += character
        else:
            code = "".join(f"%{byte:02X}" for byte in character.encode())
            encoded += random.choice([code, code.lower()])
    return encoded


@st.composite
def spellings(draw: st.DrawFn, host: str, path: list[str], query: list[tuple[str, str]]) -> str:
    """Return one of the URLs of a file."""
    shown_host = draw(st.sampled_from([host, host.upper(), f"{host}.", f"{host}:443"]))
    random = draw(st.randoms(use_true_random=False))
    segments = [spell(random, segment) for segment in path]
    position = draw(st.integers(0, len(segments) - 1))
    segments[position:position] = draw(st.sampled_from([[], ["."], ["x", ".."], ["%2e"], ["x", "%2E%2e"]]))
    pairs = [f"{spell(random, name)}={spell(random, value)}" for name, value in query]
    signature = draw(st.sampled_from(["", *SIGNATURES.values()]))
    # The store signs in its own place among the parameters; those that repeat keep their order.
    query_text = "&".join([*([signature] if signature else []), *pairs])
    end = draw(st.sampled_from(["", "#", "#t=3"]))
    return f"https://{shown_host}/{'/'.join(segments)}{'?' if query_text else ''}{query_text}{end}"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), hosts, paths, queries)
def test_any_spelling_of_a_url_has_one_identity(
    data: st.DataObject, host: str, path: list[str], query: list[tuple[str, str]]
) -> None:
    path = [*path, "file.mp4"]
    plain = "/".join(quote(segment, safe="") for segment in path)
    plain_query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    expected = canonical_form(f"https://{host}/{plain}?{plain_query}")
    actual = data.draw(spellings(host, path, query))
    assert canonical_form(actual) == expected
    assert canonical_form(expected) == expected


files = st.tuples(st.sampled_from(["files.example", "192.0.2.1"]), paths, queries)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(files, files)
def test_two_files_have_two_identities(
    one: tuple[str, list[str], list[tuple[str, str]]], other: tuple[str, list[str], list[tuple[str, str]]]
) -> None:
    def url(file: tuple[str, list[str], list[tuple[str, str]]]) -> str:
        host, path, query = file
        text = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
        return f"https://{host}/{'/'.join(quote(segment, safe='') for segment in path)}?{text}"

    def ordered(file: tuple[str, list[str], list[tuple[str, str]]]) -> tuple[object, ...]:
        return file[0], file[1], sorted(file[2], key=lambda pair: pair[0])

    assert (canonical_form(url(one)) == canonical_form(url(other))) == (ordered(one) == ordered(other))


def test_docs_list_every_store_that_signs() -> None:
    section = (
        (Path(__file__).parents[3] / "docs" / "media.md").read_text().partition("| Store |")[2].partition("\n\n")[0]
    )
    listed = [row.split(" | ")[0].strip("| ") for row in section.splitlines()[2:]]
    assert listed == list(dict.fromkeys(scheme.store for scheme in SIGNATURE_SCHEMES))


@pytest.mark.parametrize("name", ["ada.png", "ada.jpg", "ada.JPEG", "ada.webp"])
def test_signed_urls_of_an_image_have_one_identity(name: str) -> None:
    first, second = (
        f"https://cdn.example/{name}?token={letter * 30}&expires=170000000{digit}" for letter, digit in ("a1", "b2")
    )
    assert canonical_form(first) == canonical_form(second) == canonical_form(f"https://cdn.example/{name}")
