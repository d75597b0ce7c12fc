"""Argil's webhooks: deliveries, parsed leniently, and the URL of the receiver.

Source: Argil's pages on webhooks. They document neither signatures nor retries. A delivery therefore only triggers
an early poll of the avatar; its content is not trusted.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from models.argil.avatar import ArgilId, is_plain_id, parse_time, replace_unstorable_characters
from models.errors import InvalidRequest
from models.settings import is_loopback
from models.text.redaction import redact
from models.text.url_redaction import redact_url

SUCCESS_EVENT = "AVATAR_TRAINING_SUCCESS"
SUBSCRIBED_EVENTS = (SUCCESS_EVENT, "AVATAR_TRAINING_FAILED")
"""The events that the webhook subscribes to. Argil has no event for REFUSED."""
ACCEPTED_EVENTS = frozenset({*SUBSCRIBED_EVENTS, "AVATAR_GENERATION_FAILED"})
"""AVATAR_GENERATION_FAILED is the name of the failure event on one of Argil's pages."""
RECEIVER_PATH = "/webhooks/argil/"
MAX_STORED_BODY_CHARACTERS = 4000
CALLBACK_EVENT = "AVATAR_CALLBACK"
"""The event of a delivery to a callback URL. Argil does not document its body, so it is not stored."""
CALLBACK_DIGITS = 32
"""Hexadecimal digits of the signature in a callback URL: 128 bits."""

# Valid in every URL and database: no white space, control characters or surrogates.
_PRINTABLE_ASCII = re.compile(r"[!-~]{1,256}")
_ESCAPED_SLASH = re.compile(r"(?<!\\)\\++/")
_TOKEN = re.compile(rf"({RECEIVER_PATH})[^/?#]+")


@dataclass(frozen=True)
class WebhookDelivery:
    """A delivery about a finished training. Deliveries with the same digest are the same delivery.

    `body` is the body as received, for people to read: truncated to MAX_STORED_BODY_CHARACTERS and without URL
    queries. Only the event and the avatar id are required; every other field may be absent or of any type. For
    example, `extras` can be an object or a string.
    """

    event: str
    avatar_id: str
    digest: str
    body: str
    voice_id: str | None = None
    """The voice that a delivery about a success names, if it can be an id."""

    @classmethod
    def parse(cls, raw: bytes) -> Self | None:
        """Parse the body of a request; None if it is not JSON, of another event, or without an avatar id.

        A URL with a query, or a text with a secret of the process, is not an avatar id.
        """
        try:
            fields = json.loads(raw.decode())
            data = fields["data"]
            event, avatar_id = fields["event"], data["avatarId"]
            text = json.dumps(fields)  # normalizes escapes, which could hide the question mark of a URL
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        if not isinstance(event, str) or event not in ACCEPTED_EVENTS:
            return None
        if not is_plain_id(avatar_id):
            return None
        voice_id = data.get("voiceId") if event == SUCCESS_EVENT and isinstance(data, dict) else None
        digest = hashlib.sha256(b"\0".join((event.encode(), avatar_id.encode(), raw))).hexdigest()
        # A string that contains JSON may have its slashes escaped once more.
        body = redact(_ESCAPED_SLASH.sub("/", text))[:MAX_STORED_BODY_CHARACTERS]
        return cls(event, avatar_id, digest, body, voice_id if is_plain_id(voice_id) else None)

    @classmethod
    def of_callback(cls, submission_id: str, avatar_id: str) -> Self:
        """Return the delivery to the callback URL of a submission: one, however often it is called."""
        digest = hashlib.sha256(f"{CALLBACK_EVENT}\0{submission_id}".encode()).hexdigest()
        return cls(CALLBACK_EVENT, avatar_id, digest, "{}")


def _string_items(value: object) -> tuple[str, ...]:
    return tuple(name for name in value if isinstance(name, str)) if isinstance(value, list) else ()


class Webhook(BaseModel):
    """A webhook of the account as Argil returns it. Only its id and URL are required."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: ArgilId
    url: Annotated[str, AfterValidator(replace_unstorable_characters), Field(validation_alias="callbackUrl")]
    events: Annotated[tuple[str, ...], BeforeValidator(_string_items)] = ()
    last_triggered_at: Annotated[
        datetime | None, BeforeValidator(parse_time), Field(validation_alias="lastTriggeredAt")
    ] = None
    """When Argil last delivered to it; None if it never did, or does not say."""

    @classmethod
    def parse(cls, response: object) -> Self | None:
        """Parse a decoded JSON response; None if it is not a webhook."""
        try:
            return cls.model_validate(response)
        except ValidationError:
            return None


def receiver_url(base: str) -> str:
    """Return the URL of the receiver at a public base URL, up to the token.

    Raises:
        InvalidRequest: The base URL is not a valid https URL. Plain http is allowed for a loopback host only.
    """
    try:
        parts = urlsplit(base)
        host, _ = parts.hostname, parts.port
    except ValueError:  # not chained: its message may quote a password
        raise InvalidRequest([("url", "is not a valid URL")]) from None
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise InvalidRequest([("url", "must begin with https://: plain http would expose the token")])
    if not host or not _PRINTABLE_ASCII.fullmatch(base) or set(base) & set("@?#"):
        raise InvalidRequest([("url", "must be a URL like https://avatars.example.com, of at most 256 characters")])
    return f"{base.rstrip('/')}{RECEIVER_PATH}"


def callback_path(token: str, submission_id: str) -> str:
    """Return the last part of the callback URL of one submission: its id and a signature with the token.

    It authenticates a wake-up of this avatar and nothing else: the token cannot be computed from it.
    """
    digest = hmac.new(token.encode(), f"callback:{submission_id}".encode(), hashlib.sha256).hexdigest()
    return f"{submission_id}.{digest[:CALLBACK_DIGITS]}"


def parse_callback_path(token: str, path: str) -> str | None:
    """Return the submission id of a path from `callback_path`, None if its signature is not that of the token."""
    submission_id, _, signature = path.partition(".")
    if not signature or not _PRINTABLE_ASCII.fullmatch(path):
        return None
    return submission_id if hmac.compare_digest(path, callback_path(token, submission_id)) else None


def mask_token(url: str) -> str:
    """Return the URL of a webhook for display: without our token and without its query."""
    return _TOKEN.sub(r"\1…", redact_url(url))
