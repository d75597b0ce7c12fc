"""Argil's answers and deliveries: any status, header and body is an avatar, a list or one of our errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx
from hypothesis import strategies as st

from clients.argil import ArgilClient
from models.avatar import Avatar, CreateAvatar, VideoSource
from models.errors import AvatarsError
from models.webhook import EVENTS, Delivery, Webhook, masked
from tests.fakes import FakeClock
from tests.fuzz.kinds import CANARY, Kind, assert_tells_nothing, secret_urls
from tests.fuzz.mutations import mutated, mutations

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
_ONE = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just("a-1") | _JSON,
        "status": st.just("IDLE") | _JSON,
        "event": st.sampled_from(EVENTS) | _JSON,
        "data": st.fixed_dictionaries({}, optional={"avatarId": st.just("a-1") | _JSON, "extras": _JSON}) | _JSON,
        **{field: _JSON for field in _FIELDS if field != "event"},
    },
)
ANSWERS = _ONE | st.lists(_ONE | _JSON, max_size=3) | _JSON
_WORDS = [
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


class Answer(NamedTuple):
    """What the server says: the body as it is sent, in pieces."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    cut: bool
    torn: bool
    """Whether a URL in it may have been torn apart, so that its query is one no more."""


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._answer.body
        if self._answer.cut:
            raise httpx.ReadError(f"cut at https://h/?{CANARY}")


def _says(case: Answer) -> Callable[[httpx.Request], httpx.Response]:
    headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in case.headers]
    return lambda _: httpx.Response(case.status, headers=headers, stream=_Body(case))


async def _calls(case: Answer) -> None:
    request = CreateAvatar(
        name="A", dataset_video=VideoSource(url="https://d"), consent_video=VideoSource(url="https://c"), extras={}
    )
    async with ArgilClient(
        "https://argil.test/v1",
        KEY,
        clock=FakeClock(),
        requests_per_second=10**6,
        transport=httpx.MockTransport(_says(case)),
    ) as argil:
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: argil.create(request),
            lambda: argil.get("a/b"),
            argil.list_private,
            argil.webhooks,
            argil.clock_offset_seconds,
            lambda: argil.remove_webhook("a"),
            lambda: argil.register_webhook("https://us/canary-token", EVENTS),
        ]
        for call in calls:
            try:
                await call()
            except AvatarsError as error:
                secrets = (KEY,) if case.torn else (CANARY, KEY)
                assert_tells_nothing([str(error), repr(error.__dict__)], secrets)


_LOOP = asyncio.Runner()


def _check(case: Answer) -> None:
    _LOOP.run(_calls(case))


def _check_delivery(case: tuple[bytes, tuple[str, ...]]) -> None:
    raw, secrets = case
    found = Delivery.read(raw)
    if found is not None:
        assert_tells_nothing([found.body, found.avatar_id], secrets)
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError):
        return
    avatar = Avatar.read(answer)
    if avatar is not None:
        assert avatar.raw == answer
        assert_tells_nothing([avatar.id, avatar.status], ())
        assert "\x00" not in avatar.id + avatar.status, "no database takes it"
        assert avatar.created_at is None or avatar.created_at.astimezone(UTC) <= datetime.max.replace(tzinfo=UTC)
        _ = avatar.is_settled, avatar.submission_id
    webhook = Webhook.read(answer)
    if webhook is not None:
        assert_tells_nothing([webhook.id, webhook.url, masked(webhook.url)], ())


_BODIES = ANSWERS.map(lambda value: json.dumps(value).encode())
_ALTERED = st.builds(mutated, _BODIES, mutations(_WORDS))
_HEADERS = st.lists(st.tuples(st.sampled_from(_NAMES), st.sampled_from(_VALUES)), max_size=3)
_STATUSES = st.sampled_from([200, 201, 204, 301, 302, 307, 400, 401, 402, 403, 404, 408, 422, 429, 500, 503, 599])
_WHOLE = st.builds(Answer, _STATUSES, _HEADERS, _BODIES, st.booleans(), st.just(value=False))
_TORN = st.builds(Answer, _STATUSES, _HEADERS, _ALTERED, st.booleans(), st.just(value=True))
KIND = Kind("answers", _WHOLE | _TORN, _check)
DELIVERIES = Kind(
    "deliveries", st.tuples(_BODIES, st.just((CANARY,))) | st.tuples(_ALTERED, st.just(())), _check_delivery
)
