"""The query parameters that sign a URL, by store: a signed URL names the same recording as an unsigned one.

A parameter with an ordinary name (`Expires`, `token`) signs only beside the other parameters of its scheme, because
elsewhere it may select the file. docs/media.md lists the stores; a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_ANY = r".+"
_EPOCH = r"\d{9,13}"
_DATE = r"\d{4}-\d\d-\d\d"
_HEX_64 = r"[0-9a-f]{64}"
# An HMAC or a digest in hexadecimal or base64, at least 120 bits.
_MAC = r"[A-Za-z0-9_+/=-]{20,}"
RECORDING_EXTENSION = r"\.(?:mp4|m4v|mov|qt|png|jpe?g|webp)"
_RECORDING_PATH = re.compile(rf".+{RECORDING_EXTENSION}", re.IGNORECASE | re.DOTALL)


def names_recording(path: str) -> bool:
    """Whether a path ends as the name of a video or an image, so that a token beside it only signs."""
    return _RECORDING_PATH.fullmatch(path) is not None


class SignatureScheme(NamedTuple):
    """How one store signs the URL of a file.

    Attributes:
        store: The name that docs/media.md lists.
        dropped: Names of the parameters that do not select the file, in lower case.
        prefixes: Prefixes of further names, in lower case.
        required: Parameters that prove the scheme, with a pattern of their values; empty: the names prove it.
        hosts: The host names, or parent domains, of a scheme that only one service has; empty: any host.
        folder: The path below which the service has its files; its other paths are not signed in this way.
        signs_paths: The scheme has ordinary names only, so it counts only if the path names a recording:
            `/download?token=...` can select the file by its token.

    """

    store: str
    dropped: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    required: Mapping[str, str] = {}
    hosts: tuple[str, ...] = ()
    folder: str = "/"
    signs_paths: bool = False

    def applies(self, host: str, path: str, parameters: Mapping[str, str]) -> bool:
        """Whether a URL with this host, path and parameters (names in lower case) is signed in this way."""
        return (
            (not self.hosts or any(host == name or host.endswith(f".{name}") for name in self.hosts))
            and path.startswith(self.folder)
            and (not self.signs_paths or names_recording(path))
            and all(
                re.fullmatch(pattern, parameters.get(name, ""), re.IGNORECASE)
                for name, pattern in self.required.items()
            )
        )


_PUBLIC_PARAMETER = re.compile(
    # What the signature covers and how long it lasts, or which response it asks for.
    r".*(?:algorithm|date|expires?|signedheaders|headers|-time|-list|version|versionid|-content-\w+(?:-\w+)?|cache-control)"
    r"|sv|ss|srt|sp|st|se|spr|sr|sip|sks|skv|skt|ske|rscc|rscd|rsce|rscl|rsct|x-id|ex|is|generation",
    re.IGNORECASE | re.DOTALL,
)


def is_public_parameter(name: str) -> bool:
    """Whether a query parameter of this name describes a signature or the response, so that it is not a secret."""
    return _PUBLIC_PARAMETER.fullmatch(name) is not None


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# They name a version of the object or headers of the response; the object is the same.
_S3_OBJECT = _names(
    "versionid x-id response-content-type response-content-language response-expires response-cache-control "
    "response-content-disposition response-content-encoding"
)
_GCS_OBJECT = _names("generation userproject response-content-type response-content-disposition")

SIGNATURE_SCHEMES = (
    SignatureScheme("S3 and compatible stores, version 4", prefixes=("x-amz-",)),
    SignatureScheme("S3 and compatible stores, version 4", _S3_OBJECT, required={"x-amz-signature": _ANY}),
    SignatureScheme(
        "S3 and compatible stores, version 2",
        _names("awsaccesskeyid signature expires") | _S3_OBJECT,
        required={"awsaccesskeyid": _ANY, "signature": _ANY},
    ),
    SignatureScheme("Google Cloud Storage, version 4", prefixes=("x-goog-",)),
    SignatureScheme("Google Cloud Storage, version 4", _GCS_OBJECT, required={"x-goog-signature": _ANY}),
    SignatureScheme(
        "Google Cloud Storage, version 2",
        _names("googleaccessid signature expires") | _GCS_OBJECT,
        required={"googleaccessid": _ANY, "signature": _ANY},
    ),
    SignatureScheme(
        "Google Cloud CDN",
        _names("expires keyname signature urlprefix"),
        required={"expires": _EPOCH, "keyname": _ANY, "signature": _MAC},
        signs_paths=True,
    ),
    *(
        SignatureScheme(
            "Azure shared access signature",
            _names(
                "sv ss srt sp st se sip spr sig si sr sdd ses saoid suoid scid skoid sktid skt ske sks skv skdutid "
                "sduoid srh srq rscc rscd rsce rscl rsct snapshot versionid"
            ),
            required={"sig": _MAC, **others},
        )
        # A stored policy (`si`) has no end; versions before 2012-02-12 have no `sv`.
        for others in ({"sv": _DATE}, {"se": rf"{_DATE}.*"})
    ),
    *(
        SignatureScheme(
            "CloudFront",
            _names("expires signature policy key-pair-id hash-algorithm"),
            required={"key-pair-id": _ANY, "signature": _ANY, name: _ANY},
        )
        for name in ("expires", "policy")
    ),
    SignatureScheme(
        "Alibaba OSS",
        _names("ossaccesskeyid signature expires security-token"),
        required={"ossaccesskeyid": _ANY, "signature": _ANY},
    ),
    SignatureScheme(
        # Not by prefix: x-oss-process changes the content.
        "Alibaba OSS",
        _names(
            "x-oss-signature x-oss-signature-version x-oss-credential x-oss-date x-oss-expires "
            "x-oss-additional-headers x-oss-security-token x-oss-access-key-id"
        ),
    ),
    SignatureScheme(
        "Tencent COS",
        _names(
            "q-sign-algorithm q-ak q-sign-time q-key-time q-header-list q-url-param-list q-signature "
            "x-cos-security-token"
        ),
        required={"q-signature": _ANY},
    ),
    SignatureScheme(
        "Huawei OBS",
        _names("accesskeyid signature expires x-obs-security-token"),
        required={"accesskeyid": _ANY, "signature": _ANY},
    ),
    *(
        SignatureScheme(
            store,
            frozenset(
                f"{prefix}-{name}"
                for name in (
                    "algorithm",
                    "credential",
                    "date",
                    "expires",
                    "policy",
                    "security-token",
                    "signature",
                    "signedheaders",
                )
            ),
        )
        for store, prefix in (("Huawei OBS", "x-obs"), ("Volcengine TOS", "x-tos"))
    ),
    SignatureScheme("Qiniu", _names("e token"), required={"e": _EPOCH, "token": r"[\w-]{20,}:[\w=-]{20,}"}),
    SignatureScheme(
        "OpenStack Swift",
        _names("temp_url_sig temp_url_expires temp_url_prefix temp_url_ip_range filename inline"),
        required={"temp_url_sig": _ANY, "temp_url_expires": _ANY},
    ),
    SignatureScheme(
        "Cloudflare",
        _names("verify"),
        required={"verify": rf"{_EPOCH}-[A-Za-z0-9_+/=%-]{{20,}}"},
        signs_paths=True,
    ),
    SignatureScheme(
        "Bunny CDN",
        _names("token expires token_path token_countries token_countries_blocked token_ignore_params limit"),
        required={"token": _MAC, "expires": _EPOCH},
        signs_paths=True,
    ),
    SignatureScheme("KeyCDN", _names("token expire"), required={"token": _MAC, "expire": _EPOCH}, signs_paths=True),
    SignatureScheme(
        "nginx secure link", _names("md5 expires"), required={"md5": _MAC, "expires": _EPOCH}, signs_paths=True
    ),
    SignatureScheme("Fastly", _names("token"), required={"token": rf"{_EPOCH}_{_MAC}"}, signs_paths=True),
    SignatureScheme("CDN77", _names("secure"), required={"secure": rf"{_MAC},{_EPOCH}"}, signs_paths=True),
    *(
        SignatureScheme("Akamai", _names(name), required={name: r".*\bhmac=[0-9a-f]{20,}"}, signs_paths=True)
        for name in ("hdnts", "hdnea", "hdntl", "__token__", "__gda__", "token")
    ),
    SignatureScheme(
        "Cloudinary",
        _names("__cld_token__"),
        required={"__cld_token__": r".*\bhmac=[0-9a-f]{20,}"},
        signs_paths=True,
    ),
    SignatureScheme(
        "imgix", _names("s expires"), required={"s": r"[0-9a-f]{32}"}, hosts=("imgix.net", "imgix.video")
    ),
    *(
        SignatureScheme(
            "Laravel and similar frameworks",
            _names("expires signature"),
            required={"signature": _HEX_64, "expires": expires},
            signs_paths=not expires,
        )
        for expires in (_EPOCH, "")
    ),
    SignatureScheme(
        "Discord",
        _names("ex is hm"),
        required={"ex": r"[0-9a-f]+", "hm": _HEX_64},
        hosts=("cdn.discordapp.com", "media.discordapp.net"),
    ),
    SignatureScheme(
        "Supabase", _names("token download"), hosts=("supabase.co", "supabase.in"), folder="/storage/v1/"
    ),
    SignatureScheme("Backblaze B2", _names("authorization"), hosts=("backblazeb2.com",)),
    SignatureScheme(
        "Dropbox", _names("rlkey st e dl raw"), hosts=("dropbox.com", "dropboxusercontent.com", "db.tt")
    ),
    SignatureScheme(
        "Google Drive",
        _names("at authuser confirm export resourcekey usp uuid"),
        hosts=("drive.google.com", "docs.google.com", "drive.usercontent.google.com"),
    ),
    SignatureScheme(
        "OneDrive or SharePoint",
        _names("apiversion download e tempauth translate web"),
        hosts=("sharepoint.com", "1drv.ms", "microsoftpersonalcontent.com"),
    ),
)
