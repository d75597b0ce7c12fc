"""Argil's webhooks: what a delivery says, read tolerantly, and the address that deliveries go to.

Source: Argil's pages on webhooks. They tell of no signature and no retries, so a delivery is a hint to go and
look at an avatar, never a fact about it.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from models.avatar import PlainId, storable
from models.errors import InvalidRequest
from models.redaction import redact, redact_url
from models.settings import is_loopback

EVENTS = ("AVATAR_TRAINING_SUCCESS", "AVATAR_TRAINING_FAILED")
"""What we ask Argil for. There is no event for REFUSED."""
READ_EVENTS = frozenset({*EVENTS, "AVATAR_GENERATION_FAILED"})
"""One of Argil's pages calls the failure so."""
PATH = "/webhooks/argil/"
KEPT_CHARACTERS = 4000

# What every URL and database takes: no white space, control characters or surrogates.
_PLAIN = re.compile(r"[!-~]{1,256}")
_ESCAPED_SLASH = re.compile(r"(?<!\\)\\+/")
_TOKEN = re.compile(rf"({PATH})[^/?#]+")


@dataclass(frozen=True)
class Delivery:
    """A delivery about the end of a training. Two with the same digest are the same one.

    `body` is what came, for people to read: cut to KEPT_CHARACTERS and free of URL queries. Everything in it but
    the event and the avatar id may be absent or of any type; `extras`, say, may be an object or a string.
    """

    event: str
    avatar_id: str
    digest: str
    body: str

    @classmethod
    def read(cls, raw: bytes) -> Self | None:
        """Read the body of a request; None where it is no JSON, of another event, or tells no avatar id."""
        try:
            fields = json.loads(raw.decode())
            data = fields["data"]
            event, avatar_id = fields["event"], data["avatarId"]
            text = json.dumps(fields)  # so that no escape hides a URL's question mark
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        if not isinstance(event, str) or event not in READ_EVENTS:
            return None
        if not isinstance(avatar_id, str) or not _PLAIN.fullmatch(avatar_id):
            return None
        digest = hashlib.sha256(b"\0".join((event.encode(), avatar_id.encode(), raw))).hexdigest()
        # A string that holds JSON may have escaped its slashes once more.
        return cls(event, avatar_id, digest, redact(_ESCAPED_SLASH.sub("/", text))[:KEPT_CHARACTERS])


def _names(value: object) -> tuple[str, ...]:
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()


class Webhook(BaseModel):
    """A webhook of the account as Argil tells of it. Only its id and address are sure to be there."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: PlainId
    url: Annotated[str, AfterValidator(storable), Field(validation_alias="callbackUrl")]
    events: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()

    @classmethod
    def read(cls, answer: object) -> Self | None:
        """Read a decoded JSON answer; None where it is no webhook."""
        try:
            return cls.model_validate(answer)
        except ValidationError:
            return None


def receiver_url(base: str) -> str:
    """Return where the receiver behind a public address takes deliveries, up to the token.

    Raises InvalidRequest where the address is no https URL (http serves a loopback host alone).
    """
    try:
        parts = urlsplit(base)
        host, _ = parts.hostname, parts.port
    except ValueError:  # its words may quote a password
        raise InvalidRequest([("url", "is no URL")]) from None
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise InvalidRequest([("url", "must begin with https://: plain http would show the token to the network")])
    if not host or not _PLAIN.fullmatch(base) or set(base) & set("@?#"):
        raise InvalidRequest([("url", "must be like https://avatars.example.com, at most 256 characters")])
    return f"{base.rstrip('/')}{PATH}"


def masked(url: str) -> str:
    """Return a webhook's URL for people to read: without our token, and without its query."""
    return _TOKEN.sub(r"\1…", redact_url(url))
