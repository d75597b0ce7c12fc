"""Fuzzes Argil's responses and deliveries: each gives an avatar, a list or one of our own errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx
from hypothesis import strategies as st

from clients.argil import ArgilClient
from models.argil.avatar import Avatar, CreateAvatarRequest, RecordingSource
from models.argil.webhook import SUBSCRIBED_EVENTS, Webhook, WebhookDelivery, mask_token
from models.errors import AvatarsError
from tests.fakes import FakeClock
from tests.fuzz.mutations import mutated, mutations
from tests.fuzz.target import CANARY, FuzzTarget, assert_no_secrets, secret_urls

KEY = "canary-api-key"
_TEXTS = (
    st.text(max_size=10) | secret_urls() | st.sampled_from([KEY, f"x{KEY}y", "\ud83d", "\x00", "IDLE", "\\" * 3])
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**30) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=5,
)
_FIELDS = ["name", "createAt", "createdAt", "gestures", "width", "thumbnailUrl", "extras", "model", "raw"]
_FIELDS += ["message", "code", "callbackUrl", "events", "event"]
_AVATAR = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just("a-1") | _JSON,
        "status": st.just("IDLE") | _JSON,
        "event": st.sampled_from(SUBSCRIBED_EVENTS) | _JSON,
        "data": st.fixed_dictionaries({}, optional={"avatarId": st.just("a-1") | _JSON, "extras": _JSON}) | _JSON,
        **{field: _JSON for field in _FIELDS if field != "event"},
    },
)
RESPONSE_BODIES = _AVATAR | st.lists(_AVATAR | _JSON, max_size=3) | _JSON
_TOKENS = [
    b'"',
    b"\\",
    b"\\/",
    b"\\u0063",
    b"{",
    b"[",
    b"]",
    b"NaN",
    b"9",
    b"1e999",
    b"\xff",
    b"https://",
    b"?",
    b"/",
]
_NAMES = [
    "retry-after",
    "x-ratelimit-reset",
    "link",
    "x-total-count",
    "date",
    "content-type",
    "content-encoding",
    "location",
    "set-cookie",
    "content-length",
    "x",
]
_VALUES = [
    "-1",
    "9" * 30,
    "Mon, 23 Nov 2026 09:00:00 GMT",
    "gzip",
    "br, deflate",
    "http://[",
    "a=b; Domain=.",
    "é",
    "",
]
_VALUES += [
    f"text/plain; charset={name}"
    for name in ("hex", "undefined", "utf-7", "idna", "zlib", "unicode_escape", "\x7f")
]


class ServerResponse(NamedTuple):
    """A response of the server, with the body as it is sent."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    cut: bool
    mutated: bool
    """Whether bytes were changed. A URL in it may be split, so that its query is not recognisable."""


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: ServerResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._response.body
        if self._response.cut:
            raise httpx.ReadError(f"cut at https://h/?{CANARY}")


def _handler(case: ServerResponse) -> Callable[[httpx.Request], httpx.Response]:
    headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in case.headers]
    return lambda _: httpx.Response(case.status, headers=headers, stream=_Body(case))


async def _calls(case: ServerResponse) -> None:
    request = CreateAvatarRequest(
        name="A",
        dataset_video=RecordingSource(url="https://d"),
        consent_video=RecordingSource(url="https://c"),
        extras={"submission_id": "s-1"},
    )
    async with ArgilClient(
        "https://argil.test/v1",
        KEY,
        clock=FakeClock(),
        requests_per_second=10**6,
        transport=httpx.MockTransport(_handler(case)),
    ) as argil:
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: argil.create_avatar(request),
            lambda: argil.get_avatar("a/b"),
            lambda: argil.get_avatar("a-1", "s-1"),
            argil.list_avatars,
            argil.check_path,
            argil.list_webhooks,
            argil.check_access,
            lambda: argil.delete_webhook("a"),
            lambda: argil.register_webhook("https://us/canary-token", SUBSCRIBED_EVENTS),
        ]
        for call in calls:
            try:
                await call()
            except AvatarsError as error:
                secrets = (KEY,) if case.mutated else (CANARY, KEY)
                assert_no_secrets([str(error), repr(error.__dict__)], secrets)


_LOOP = asyncio.Runner()


def _check(case: ServerResponse) -> None:
    _LOOP.run(_calls(case))


def _check_delivery(case: tuple[bytes, tuple[str, ...]]) -> None:
    raw, secrets = case
    delivery = WebhookDelivery.parse(raw)
    if delivery is not None:
        assert_no_secrets([delivery.body, delivery.avatar_id], secrets)
    try:
        payload = json.loads(raw)
    except (ValueError, RecursionError):
        return
    avatar = Avatar.parse(payload)
    if avatar is not None:
        assert avatar.raw == payload
        assert_no_secrets([avatar.id, avatar.status], ())
        assert "\x00" not in avatar.id + avatar.status, "databases reject NUL characters"
        assert avatar.created_at is None or avatar.created_at.astimezone(UTC) <= datetime.max.replace(tzinfo=UTC)
        _ = avatar.is_terminal, avatar.submission_id
    webhook = Webhook.parse(payload)
    if webhook is not None:
        assert_no_secrets([webhook.id, webhook.url, mask_token(webhook.url)], ())


_BODIES = RESPONSE_BODIES.map(lambda value: json.dumps(value).encode())
_MUTATED_BODIES = st.builds(mutated, _BODIES, mutations(_TOKENS))
_HEADERS = st.lists(st.tuples(st.sampled_from(_NAMES), st.sampled_from(_VALUES)), max_size=3)
_STATUSES = st.sampled_from([200, 201, 204, 301, 302, 307, 400, 401, 402, 403, 404, 408, 422, 429, 500, 503, 599])
_WELL_FORMED = st.builds(ServerResponse, _STATUSES, _HEADERS, _BODIES, st.booleans(), st.just(value=False))
_MUTATED = st.builds(ServerResponse, _STATUSES, _HEADERS, _MUTATED_BODIES, st.booleans(), st.just(value=True))
TARGET = FuzzTarget("responses", _WELL_FORMED | _MUTATED, _check)
DELIVERIES = FuzzTarget(
    "deliveries", st.tuples(_BODIES, st.just((CANARY,))) | st.tuples(_MUTATED_BODIES, st.just(())), _check_delivery
)
