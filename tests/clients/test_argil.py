"""ArgilClient against the simulator on a real socket, or against a mock transport to avoid real waits."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.responses import Response

from clients.argil import MAX_CREATE_ATTEMPTS, ArgilClient
from clients.argil_errors import MAX_MESSAGE_CHARACTERS
from models.argil.account_list import AccountList
from models.argil.avatar import UNKNOWN_STATUS, CreateAvatarRequest, RecordingSource
from models.argil.response import ArgilResponse
from models.errors import (
    ArgilPathNotFound,
    ArgilPaymentRequired,
    ArgilRateLimited,
    ArgilUnauthorized,
    ArgilUnavailable,
    ArgilUnreachable,
    AvatarNotFound,
    AvatarsError,
    LeaseLost,
    OperationalError,
    PollFailed,
    SubmissionOutcomeUnknown,
    SubmissionRejected,
)
from models.retry import backoff_seconds
from simulator.scenarios import SCENARIOS
from simulator.server import ArgilSimulator, run_argil
from simulator.uvicorn_thread import serve_in_thread
from tests.fakes import FakeClock

KEY = "canary-key"
SECRETS = "cana"
RETRY_AFTER = 7.0
TRAINING_SECONDS = 100.0
NO_LIMIT = 1e6
AVATAR = {"id": "a-1", "status": "NOT_TRAINED"}
RETRIES = MAX_CREATE_ATTEMPTS - 1
BACKOFF_DELAYS = [backoff_seconds(failures) for failures in range(1, MAX_CREATE_ATTEMPTS)]

Handler = Callable[[httpx.Request], httpx.Response] | Callable[[httpx.Request], Awaitable[httpx.Response]]


def create_request(scenario: str = "", *, name: str = "Ada") -> CreateAvatarRequest:
    return CreateAvatarRequest(
        name=name,
        dataset_video=RecordingSource(
            url="https://videos.example/ada/dataset.mp4?X-Amz-Signature=canary-signature"
        ),
        consent_video=RecordingSource(url="https://videos.example/ada/consent.mp4"),
        extras={"simulator": scenario, "submission_id": str(uuid4())},
    )


def retry_delays(clock: FakeClock) -> list[float]:
    """Return the waits between attempts; those of the rate limiter are far shorter."""
    return [seconds for seconds in clock.sleeps if seconds > 0.01]


class Responses:
    """Handler of a mock transport: returns the responses in order, repeats the last one, and records requests.

    A response is an HTTP status, an httpx.Response, or a transport error to raise.
    """

    def __init__(self, *responses: int | httpx.Response | Exception) -> None:
        self.responses = list(responses)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
        if isinstance(response, Exception):
            raise response
        return httpx.Response(response, json={}) if isinstance(response, int) else response


ClientFactory = Callable[[Handler], ArgilClient]


@pytest.fixture
async def make_client(clock: FakeClock) -> AsyncIterator[ClientFactory]:
    """Create clients whose requests a handler answers, without a socket."""
    built: list[ArgilClient] = []

    def build(handler: Handler) -> ArgilClient:
        client = ArgilClient(
            "https://argil.example/v1",
            KEY,
            clock=clock,
            requests_per_second=NO_LIMIT,
            transport=httpx.MockTransport(handler),  # type: ignore[arg-type]  # httpx takes a union of callables only
        )
        built.append(client)
        return client

    yield build
    for client in built:
        await client.close()


class SimulatorTime:
    """Monotonic clock of the shared simulator; it follows the clock of the current test."""

    def __init__(self) -> None:
        self._clock = FakeClock()
        self._offset = 0.0

    def follow(self, clock: FakeClock) -> None:
        self._clock, self._offset = clock, self() - clock.monotonic()

    def __call__(self) -> float:
        return self._clock.monotonic() + self._offset


@pytest.fixture(scope="module")
def simulator_time() -> SimulatorTime:
    return SimulatorTime()


@pytest.fixture(scope="module")
def argil(simulator_time: SimulatorTime) -> Iterator[ArgilSimulator]:
    """Run one simulator for all tests of this module; each test uses its own avatar name."""
    with run_argil(
        api_key=KEY,
        clock=simulator_time,
        training_seconds=TRAINING_SECONDS,
        retry_after_seconds=RETRY_AFTER,
        slow_seconds=0.01,
    ) as running:
        yield running


@pytest.fixture
def name() -> str:
    return f"Ada {uuid4()}"


@pytest.fixture
async def client(
    argil: ArgilSimulator, simulator_time: SimulatorTime, clock: FakeClock
) -> AsyncIterator[ArgilClient]:
    simulator_time.follow(clock)
    async with ArgilClient(argil.api_url, KEY, clock=clock, requests_per_second=NO_LIMIT) as client:
        yield client


def posts(argil: ArgilSimulator, name: str) -> list[dict[str, Any]]:
    return [post for post in argil.account.posts if post["name"] == name]


def avatars(argil: ArgilSimulator, name: str) -> list[dict[str, Any]]:
    return [avatar for avatar in argil.account.avatars if avatar["name"] == name]


# Create requests


async def test_create_sends_the_body_and_returns_the_avatar(
    client: ArgilClient, argil: ArgilSimulator, name: str
) -> None:
    request = create_request(name=name)
    avatar = await client.create_avatar(request)
    assert posts(argil, name) == [request.to_json()]
    assert [avatar.id] == [stored["id"] for stored in avatars(argil, name)]
    assert avatar.status == "NOT_TRAINED"
    assert avatar.submission_id == request.extras["submission_id"]


async def test_create_sends_the_key_header_and_json(make_client: ClientFactory) -> None:
    handler = Responses(httpx.Response(201, json=AVATAR))
    await make_client(handler).create_avatar(create_request())
    [sent] = handler.requests
    assert (sent.method, str(sent.url)) == ("POST", "https://argil.example/v1/avatars")
    assert sent.headers["x-api-key"] == KEY
    assert sent.headers["content-type"] == "application/json"
    assert set(json.loads(sent.content)) == {"name", "datasetVideo", "consentVideo", "extras"}


# Expected result of POST /avatars per scenario: status or error, POSTs received, avatars created, retry delays.
CREATES: dict[str, tuple[str | type[AvatarsError], int, int, list[float]]] = {
    "fail": ("NOT_TRAINED", 1, 1, []),
    "fail-once": ("NOT_TRAINED", 1, 1, []),
    "refuse-once": ("NOT_TRAINED", 1, 1, []),
    "refuse": ("NOT_TRAINED", 1, 1, []),
    "never": ("NOT_TRAINED", 1, 1, []),
    "vanish": ("NOT_TRAINED", 1, 1, []),
    "late-get": ("NOT_TRAINED", 1, 1, []),
    "list-lag": ("NOT_TRAINED", 1, 1, []),
    "flaky-polls": ("NOT_TRAINED", 1, 1, []),
    "slow": ("NOT_TRAINED", 1, 1, []),
    "unknown-status": ("QUEUED_FOR_REVIEW", 1, 1, []),
    "rate-limited": ("NOT_TRAINED", 3, 1, [RETRY_AFTER, RETRY_AFTER]),
    "unavailable": ("NOT_TRAINED", 3, 1, [RETRY_AFTER, RETRY_AFTER]),
    "unavailable-bare": (SubmissionOutcomeUnknown, 1, 0, []),
    "invalid": (SubmissionRejected, 1, 0, []),
    "echo": (SubmissionRejected, 1, 0, []),
    "payment-required": (ArgilPaymentRequired, 1, 0, []),
    "error-after-create": (SubmissionOutcomeUnknown, 1, 1, []),
    "cut-after-create": (SubmissionOutcomeUnknown, 1, 1, []),
    "cut-before-create": (SubmissionOutcomeUnknown, 1, 0, []),
    "garbled": (SubmissionOutcomeUnknown, 1, 1, []),
    "gateway-page": (SubmissionOutcomeUnknown, 1, 0, []),
    "gateway-page-after-create": (SubmissionOutcomeUnknown, 1, 1, []),
    "cache-page-after-create": (SubmissionOutcomeUnknown, 1, 1, []),
    "too-large-page": (SubmissionOutcomeUnknown, 1, 0, []),
    "no-path": (ArgilPathNotFound, 1, 0, []),
    "challenge": (SubmissionOutcomeUnknown, 1, 0, []),
    "challenge-success": (SubmissionOutcomeUnknown, 1, 0, []),
    "redirect": (ArgilUnavailable, 1, 0, []),
    "error-in-success": (SubmissionOutcomeUnknown, 1, 0, []),
    "error-in-success-after-create": (SubmissionOutcomeUnknown, 1, 1, []),
    "empty-success": (SubmissionOutcomeUnknown, 1, 1, []),
    "truncated": (SubmissionOutcomeUnknown, 1, 1, []),
    "damaged-gzip": (SubmissionOutcomeUnknown, 1, 1, []),
    "utf-16": ("NOT_TRAINED", 1, 1, []),
    "not-finite": ("NOT_TRAINED", 1, 1, []),
    "repeated-key": (SubmissionOutcomeUnknown, 1, 1, []),
    "other-avatar": (SubmissionOutcomeUnknown, 1, 1, []),
    "null-status": (UNKNOWN_STATUS, 1, 1, []),
    "numeric-id": (SubmissionOutcomeUnknown, 1, 1, []),
    "paged-list": ("NOT_TRAINED", 1, 1, []),
    "other-polls": ("NOT_TRAINED", 1, 1, []),
    "gateway-polls": ("NOT_TRAINED", 1, 1, []),
    "rate-limited,cut-after-create": (SubmissionOutcomeUnknown, 3, 1, [RETRY_AFTER, RETRY_AFTER]),
    "unavailable,invalid": (SubmissionRejected, 3, 0, [RETRY_AFTER, RETRY_AFTER]),
}


def test_create_table_covers_every_scenario() -> None:
    # The faults of voices concern what follows a training.
    assert {name for name in SCENARIOS if not name.startswith("voice-")} <= set(CREATES)


@pytest.mark.parametrize("scenario", CREATES)
async def test_create_is_retried_only_if_nothing_was_created(
    client: ArgilClient, argil: ArgilSimulator, clock: FakeClock, name: str, scenario: str
) -> None:
    expected, post_count, avatar_count, delays = CREATES[scenario]
    request = create_request(scenario, name=name)
    if isinstance(expected, str):
        assert (await client.create_avatar(request)).status == expected
    else:
        with pytest.raises(expected):
            await client.create_avatar(request)
    assert posts(argil, name) == [request.to_json()] * post_count
    assert len(avatars(argil, name)) == avatar_count
    assert retry_delays(clock) == delays


async def test_wrong_key_raises_and_is_sent_once(argil: ArgilSimulator, clock: FakeClock) -> None:
    before = argil.account.count("POST /avatars")
    async with ArgilClient(argil.api_url, "wrong", clock=clock, requests_per_second=NO_LIMIT) as client:
        with pytest.raises(ArgilUnauthorized, match="401") as caught:
            await client.create_avatar(create_request())
    assert "ARGIL_API_KEY" in caught.value.hint
    assert argil.account.count("POST /avatars") == before + 1


async def test_rejection_keeps_the_response_body(client: ArgilClient, name: str) -> None:
    with pytest.raises(SubmissionRejected) as caught:
        await client.create_avatar(create_request("no-such-scenario", name=name))
    assert caught.value.status == 400
    assert caught.value.body["code"] == 400
    assert "unknown scenario" in caught.value.body["message"]
    assert caught.value.body["message"] in str(caught.value)


async def test_connection_error_is_retried_then_unreachable(clock: FakeClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    async with ArgilClient(url, KEY, clock=clock, requests_per_second=NO_LIMIT) as client:
        with pytest.raises(ArgilUnreachable, match=url) as caught:
            await client.create_avatar(create_request())
        with pytest.raises(PollFailed):
            await client.get_avatar("a-1")
    assert retry_delays(clock) == BACKOFF_DELAYS
    assert "avatars doctor" in caught.value.hint


def argil_error(status: int, message: str = "no") -> httpx.Response:
    """Return an error in Argil's documented form."""
    return httpx.Response(status, json={"code": 7, "message": message})


REQUEST = httpx.Request("POST", "https://argil.example/v1/avatars")
NOT_SENT = [
    httpx.ConnectError("refused", request=REQUEST),
    httpx.ConnectTimeout("", request=REQUEST),
    httpx.PoolTimeout("", request=REQUEST),
]
POSSIBLY_SENT = [
    httpx.ReadTimeout("", request=REQUEST),
    httpx.WriteTimeout("", request=REQUEST),
    httpx.ReadError("reset", request=REQUEST),
    httpx.WriteError("reset", request=REQUEST),
    httpx.CloseError("", request=REQUEST),
    httpx.RemoteProtocolError("cut", request=REQUEST),
    httpx.LocalProtocolError("", request=REQUEST),
    httpx.DecodingError("gzip", request=REQUEST),
    httpx.ProxyError("", request=REQUEST),
]


@pytest.mark.parametrize("failure", NOT_SENT)
async def test_unsent_request_is_retried(make_client: ClientFactory, failure: Exception) -> None:
    handler = Responses(failure, failure, httpx.Response(201, json=AVATAR))
    assert (await make_client(handler).create_avatar(create_request())).id == "a-1"
    assert len(handler.requests) == 3
    assert len({request.content for request in handler.requests}) == 1


@pytest.mark.parametrize("failure", POSSIBLY_SENT)
async def test_possibly_sent_request_is_never_retried(make_client: ClientFactory, failure: Exception) -> None:
    handler = Responses(failure)
    with pytest.raises(SubmissionOutcomeUnknown, match=type(failure).__name__):
        await make_client(handler).create_avatar(create_request())
    assert len(handler.requests) == 1


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        *((argil_error(status), SubmissionRejected) for status in (400, 413, 422)),
        *((status, ArgilPathNotFound) for status in (404, 405, 410)),
        *((status, SubmissionOutcomeUnknown) for status in (400, 409, 413, 415, 422)),
        *((argil_error(status), SubmissionOutcomeUnknown) for status in (200, 201, 409, 415, 500)),
        *((status, ArgilUnauthorized) for status in (401, 403)),
        (402, ArgilPaymentRequired),
        *((status, SubmissionOutcomeUnknown) for status in (200, 201, 204, 408, 500, 502, 503, 504)),
        *((status, ArgilUnavailable) for status in (301, 307, 308)),
        (httpx.Response(201, json={"id": "a-1"}), SubmissionOutcomeUnknown),
        (httpx.Response(201, json=[AVATAR]), SubmissionOutcomeUnknown),
        (httpx.Response(201, content=b"\xff\xfe"), SubmissionOutcomeUnknown),
        (httpx.Response(201, content=b"[" * 100_000), SubmissionOutcomeUnknown),
        (httpx.Response(500, json=AVATAR), SubmissionOutcomeUnknown),
    ],
)
async def test_response_without_avatar_raises_after_one_attempt(
    make_client: ClientFactory, response: int | httpx.Response, expected: type[AvatarsError]
) -> None:
    handler = Responses(response)
    with pytest.raises(expected) as caught:
        await make_client(handler).create_avatar(create_request())
    assert type(caught.value) is expected
    assert len(handler.requests) == 1


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_redirect_is_not_followed(make_client: ClientFactory, status: int) -> None:
    handler = Responses(httpx.Response(status, headers={"location": "https://evil.example/v1/avatars"}))
    client = make_client(handler)
    with pytest.raises(ArgilUnavailable, match="redirect") as caught:
        await client.create_avatar(create_request())
    assert caught.value.hint == "correct ARGIL_API_URL"
    with pytest.raises(PollFailed):
        await client.get_avatar("a-1")
    assert {request.url.host for request in handler.requests} == {"argil.example"}


@pytest.mark.parametrize("status", [200, 201])
async def test_any_success_status_returns_the_avatar(make_client: ClientFactory, status: int) -> None:
    assert (
        await make_client(Responses(httpx.Response(status, json=AVATAR))).create_avatar(create_request())
    ).id == "a-1"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "delays"),
    [
        ("0", BACKOFF_DELAYS),
        ("3", [3, 3, 3, 4]),
        ("3.5, 3", [3.5, 3.5, 3.5, 4]),
        ("soon", BACKOFF_DELAYS),
        ("Mon, 23 Nov 2026 09:00:45 GMT", [45, *BACKOFF_DELAYS[1:]]),
        ("50", [50, 50, 50]),
        ("100", [100]),
    ],
)
async def test_retry_after_is_honoured_within_the_retry_budget(
    make_client: ClientFactory, clock: FakeClock, status: int, retry_after: str, delays: list[float]
) -> None:
    handler = Responses(httpx.Response(status, headers={"retry-after": retry_after}))
    with pytest.raises(ArgilRateLimited) as caught:
        await make_client(handler).create_avatar(create_request())
    actual = [seconds for seconds in clock.sleeps if seconds == 0 or seconds > 0.01]
    assert actual == pytest.approx(delays, abs=0.001)
    assert len(handler.requests) == len(delays) + 1
    assert "AVATARS_REQUESTS_PER_SECOND" in caught.value.hint


@pytest.mark.parametrize(("status", "delays", "longest"), [(503, [120], 120), (429, [], 900)])
async def test_long_retry_after_is_bounded(
    make_client: ClientFactory, clock: FakeClock, status: int, delays: list[float], longest: float
) -> None:
    """A 429 pauses all requests, so its longest wait is beyond the retry budget of a submission."""
    handler = Responses(httpx.Response(status, headers={"retry-after": "3600"}))
    with pytest.raises(ArgilRateLimited) as caught:
        await make_client(handler).create_avatar(create_request())
    assert [seconds for seconds in clock.sleeps if seconds > 0.01] == pytest.approx(delays, abs=0.001)
    assert caught.value.retry_after_seconds == longest


async def test_429_without_retry_after_backs_off(make_client: ClientFactory, clock: FakeClock) -> None:
    handler = Responses(429)
    with pytest.raises(ArgilRateLimited):
        await make_client(handler).create_avatar(create_request())
    assert retry_delays(clock) == BACKOFF_DELAYS
    assert len(handler.requests) == MAX_CREATE_ATTEMPTS


async def test_error_after_the_budget_has_the_retry_after(make_client: ClientFactory) -> None:
    handler = Responses(httpx.Response(429, headers={"retry-after": "100"}))
    with pytest.raises(ArgilRateLimited) as caught:
        await make_client(handler).create_avatar(create_request())
    assert caught.value.retry_after_seconds == 100


async def test_unknown_outcome_ends_the_retries(make_client: ClientFactory) -> None:
    handler = Responses(429, httpx.ConnectError("refused"), 500, httpx.Response(201, json=AVATAR))
    with pytest.raises(SubmissionOutcomeUnknown):
        await make_client(handler).create_avatar(create_request())
    assert len(handler.requests) == 3


async def test_endless_response_times_out(make_client: ClientFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    # Real seconds: asyncio.timeout does not use the fake clock, and a minute is too long for a test.
    monkeypatch.setattr("clients.argil.REQUEST_TIMEOUT_SECONDS", 0.01)
    monkeypatch.setattr("clients.argil.LIST_TIMEOUT_SECONDS", 0.01)
    client = make_client(never)
    with pytest.raises(SubmissionOutcomeUnknown, match="TimeoutError"):
        await client.create_avatar(create_request())
    with pytest.raises(PollFailed, match="TimeoutError"):
        await client.get_avatar("a-1")
    with pytest.raises(PollFailed, match="TimeoutError"):
        await client.list_avatars()


async def test_before_each_is_called_before_each_attempt(
    client: ArgilClient, argil: ArgilSimulator, name: str
) -> None:
    posts_before: list[int] = []

    async def check() -> None:
        posts_before.append(len(posts(argil, name)))

    await client.create_avatar(create_request("unavailable", name=name), before_each_attempt=check)
    assert posts_before == [0, 1, 2]


@pytest.mark.parametrize("allowed", [0, 1, 2])
async def test_error_in_before_each_stops_the_attempts(
    client: ArgilClient, argil: ArgilSimulator, name: str, allowed: int
) -> None:
    async def check() -> None:
        if len(posts(argil, name)) == allowed:
            raise LeaseLost("another owner has the lease")

    with pytest.raises(LeaseLost):
        await client.create_avatar(create_request("unavailable", name=name), before_each_attempt=check)
    assert len(posts(argil, name)) == allowed


# Reads


async def test_get_returns_the_current_avatar(client: ArgilClient, clock: FakeClock, name: str) -> None:
    created = await client.create_avatar(create_request(name=name))
    assert (await client.get_avatar(created.id)).status == "NOT_TRAINED"
    clock.advance(TRAINING_SECONDS / 2)
    assert (await client.get_avatar(created.id)).status == "TRAINING"
    clock.advance(TRAINING_SECONDS / 2)
    ready = await client.get_avatar(created.id)
    assert (ready.status, ready.width, ready.name) == ("IDLE", 1920, name)


async def test_get_of_a_404_raises_avatar_not_found(client: ArgilClient, clock: FakeClock, name: str) -> None:
    created = await client.create_avatar(create_request("late-get", name=name))
    with pytest.raises(AvatarNotFound) as caught:
        await client.get_avatar(created.id)
    assert (caught.value.status, caught.value.body["message"]) == (404, "no such avatar")
    clock.advance(1)
    assert (await client.get_avatar(created.id)).id == created.id


async def test_failed_poll_is_not_retried_by_the_client(
    client: ArgilClient, argil: ArgilSimulator, clock: FakeClock, name: str
) -> None:
    created = await client.create_avatar(create_request("flaky-polls", name=name))
    before = argil.account.count("GET /avatars/{id}")
    await client.get_avatar(created.id)
    with pytest.raises(PollFailed, match="500"):
        await client.get_avatar(created.id)
    await client.get_avatar(created.id)
    assert argil.account.count("GET /avatars/{id}") == before + 3
    assert retry_delays(clock) == []


async def test_list_returns_the_avatars_of_the_account(client: ArgilClient, clock: FakeClock, name: str) -> None:
    listed = await client.create_avatar(create_request(name=name))
    delayed = await client.create_avatar(create_request("list-lag", name=name))
    assert [avatar.id for avatar in await client.list_avatars() if avatar.name == name] == [listed.id]
    clock.advance(2)
    both = [avatar for avatar in await client.list_avatars() if avatar.name == name]
    assert [avatar.id for avatar in both] == [listed.id, delayed.id]
    assert both[1].submission_id == delayed.submission_id


async def test_list_is_private_and_skips_invalid_items(make_client: ClientFactory) -> None:
    handler = Responses(httpx.Response(200, json=[{"id": "a-0"}, AVATAR, None, "x", {"id": "", "status": "IDLE"}]))
    avatars = await make_client(handler).list_avatars()
    assert [avatar.id for avatar in avatars] == ["a-1"]
    assert str(handler.requests[0].url) == "https://argil.example/v1/avatars?visibility=private"


async def test_avatar_id_cannot_change_the_path(make_client: ClientFactory) -> None:
    avatar_id = "../webhooks/1?x=2#y"
    handler = Responses(httpx.Response(200, json={**AVATAR, "id": avatar_id}))
    await make_client(handler).get_avatar(avatar_id)
    assert handler.requests[0].url.raw_path == b"/v1/avatars/..%2Fwebhooks%2F1%3Fx%3D2%23y"


async def send_create(client: ArgilClient) -> object:
    return await client.create_avatar(create_request())


async def send_get(client: ArgilClient) -> object:
    return await client.get_avatar("a-1")


async def send_list(client: ArgilClient) -> object:
    return await client.list_avatars()


async def send_list_lazy(client: ArgilClient) -> object:
    return await client.list_avatars_lazy()


async def check_access(client: ArgilClient) -> object:
    return await client.check_access()


READS = [send_get, send_list, send_list_lazy, check_access]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    ("response", "expected"),
    [
        *((status, ArgilUnauthorized) for status in (401, 403)),
        *((status, PollFailed) for status in (301, 304, 400, 402, 408, 422, 429, 500, 502, 503, 504)),
        *((failure, PollFailed) for failure in (*NOT_SENT, *POSSIBLY_SENT)),
    ],
)
async def test_failed_read_is_poll_failed_unless_key_is_rejected(
    make_client: ClientFactory,
    read: Callable[[ArgilClient], Awaitable[object]],
    response: int | Exception,
    expected: type[AvatarsError],
) -> None:
    handler = Responses(response)
    with pytest.raises(expected) as caught:
        await read(make_client(handler))
    assert type(caught.value) is expected
    assert len(handler.requests) == 1


@pytest.mark.parametrize("scenario", ["other-polls", "gateway-polls"])
async def test_response_about_another_avatar_is_poll_failed(client: ArgilClient, name: str, scenario: str) -> None:
    created = await client.create_avatar(create_request(scenario, name=name))
    await client.get_avatar(created.id)
    with pytest.raises(PollFailed):
        await client.get_avatar(created.id)
    assert (await client.get_avatar(created.id)).id == created.id


async def test_every_get_asks_for_a_fresh_response(make_client: ClientFactory) -> None:
    handler = Responses(httpx.Response(200, json=[]))
    client = make_client(handler)
    await client.list_avatars()
    await client.list_webhooks()
    await client.check_path()
    with pytest.raises(PollFailed):
        await client.get_avatar("a-1")
    assert [request.headers["cache-control"] for request in handler.requests] == ["no-cache"] * 4


@pytest.mark.parametrize("body", [{"json": {"message": "Cannot GET /avatars"}}, {"html": "<h1>Not found</h1>"}, {}])
async def test_check_access_tells_a_missing_path(make_client: ClientFactory, body: dict[str, Any]) -> None:
    with pytest.raises(ArgilPathNotFound, match=r"https://argil\.example/v1 has no API") as caught:
        await make_client(Responses(httpx.Response(404, **body))).check_access()
    assert "ARGIL_API_URL" in caught.value.hint


async def test_check_path_tells_a_missing_path(
    argil: ArgilSimulator, client: ArgilClient, clock: FakeClock
) -> None:
    await client.check_path()
    without_version = argil.api_url.removesuffix("/v1")
    async with ArgilClient(without_version, KEY, clock=clock, requests_per_second=NO_LIMIT) as wrong:
        with pytest.raises(ArgilPathNotFound):
            await wrong.check_path()
        with pytest.raises(ArgilPathNotFound):
            await wrong.create_avatar(create_request())


async def test_429_with_a_reset_header_waits_until_then(make_client: ClientFactory, clock: FakeClock) -> None:
    reset = str(int(clock.now().timestamp()) + 20)
    busy = httpx.Response(429, headers={"x-ratelimit-reset": reset})
    handler = Responses(busy, httpx.Response(201, json=AVATAR))
    await make_client(handler).create_avatar(create_request())
    assert retry_delays(clock)[0] == pytest.approx(20)


@pytest.mark.parametrize("read", [send_get, send_list])
@pytest.mark.parametrize("content", [b"", b"<html>", b"null", b"7", b'{"id": "a-1"}', b"[" * 100_000, b"\xff"])
async def test_unreadable_response_is_poll_failed(
    make_client: ClientFactory, read: Callable[[ArgilClient], Awaitable[object]], content: bytes
) -> None:
    with pytest.raises(PollFailed):
        await read(make_client(Responses(httpx.Response(200, content=content))))


def bomb(layers: int) -> Response:
    """Return a small body that is decompressed to 2 MB of white space, compressed once or more."""
    body = b" " * 2_000_000
    for _ in range(layers):
        body = gzip.compress(body, mtime=0)
    return Response(body, headers={"content-encoding": ", ".join(["gzip"] * layers)})


async def test_large_account_list_is_decoded_in_a_thread(
    client: ArgilClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of an account with thousands of avatars would delay the event loop."""
    monkeypatch.setattr("clients.argil.LARGE_LIST_BYTES", 1)
    threads: list[int] = []

    class RecordingList(AccountList):
        def __init__(self, response: ArgilResponse) -> None:
            threads.append(threading.get_ident())
            super().__init__(response)

    monkeypatch.setattr("clients.argil.AccountList", RecordingList)
    assert "index" in vars(await client.list_account())
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


@pytest.mark.parametrize("response", [bomb(1), bomb(2), Response(b" " * 2_000_000)], ids=["gzip", "twice", "plain"])
async def test_body_beyond_the_limit_is_not_read(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, response: Response
) -> None:
    monkeypatch.setattr("clients.response_body.MAX_BODY_BYTES", 1_000_000)
    monkeypatch.setattr("clients.response_body.MAX_LIST_BYTES", 1_000_000)
    with serve_in_thread(response) as url:
        async with ArgilClient(url, KEY, clock=clock, requests_per_second=NO_LIMIT) as client:
            for read in (client.get_avatar("a-1"), client.list_account(), client.check_access()):
                with pytest.raises(PollFailed, match="the body"):
                    await read
            with pytest.raises(SubmissionOutcomeUnknown, match="the body"):
                await client.create_avatar(create_request())
            with pytest.raises(OperationalError, match="the body"):
                await client.list_webhooks()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "Mon, 23 Nov 2026 09:00:45 GMT"}, 45),
        ({"retry-after": "soon"}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_poll_failed_has_the_retry_after(
    make_client: ClientFactory, status: int, headers: dict[str, str], expected: float | None
) -> None:
    with pytest.raises(PollFailed) as caught:
        await make_client(Responses(httpx.Response(status, headers=headers))).get_avatar("a-1")
    assert caught.value.retry_after_seconds == expected


@pytest.mark.parametrize(
    ("date", "offset"),
    [
        ("Mon, 23 Nov 2026 09:00:00 GMT", 0),
        ("Mon, 23 Nov 2026 08:59:30 GMT", 30),
        ("Mon, 23 Nov 2026 09:01:00 GMT", -60),
        ("Mon, 23 Nov 2026 09:01:00", -60),
        ("sometime", None),
        ("Mon, 23 Nov 99999999999999999999 09:00:00 GMT", None),
        (None, None),
    ],
)
async def test_check_access_returns_the_clock_offset(
    make_client: ClientFactory, date: str | None, offset: float | None
) -> None:
    headers = {} if date is None else {"date": date}
    handler = Responses(httpx.Response(404, headers=headers, json={"code": 404, "message": "no such avatar"}))
    assert await make_client(handler).check_access() == offset


async def test_check_access_succeeds_with_a_valid_key(client: ArgilClient) -> None:
    assert isinstance(await client.check_access(), float)


async def test_requests_are_rate_limited(clock: FakeClock) -> None:
    transport = httpx.MockTransport(Responses(httpx.Response(200, json=AVATAR)))
    async with ArgilClient(
        "https://argil.example/v1", KEY, clock=clock, requests_per_second=2, transport=transport
    ) as client:
        for _ in range(3):
            await client.get_avatar("a-1")
    assert clock.sleeps == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("read", [send_list, send_list_lazy])
async def test_404_of_a_list_is_poll_failed(
    make_client: ClientFactory, read: Callable[[ArgilClient], Awaitable[object]]
) -> None:
    with pytest.raises(PollFailed, match="404") as caught:
        await read(make_client(Responses(404)))
    assert type(caught.value) is PollFailed


# Secrets

URL = "https://videos.example/a.mp4?file='x'&X-Amz-Signature=canary-signature"
ECHOES = [
    httpx.Response(0, json={"code": 7, "message": f"bad key {KEY} for {URL}"}),
    httpx.Response(0, json={"code": KEY, "message": KEY}),
    httpx.Response(0, json={"message": {"key": KEY, "url": URL}}),
    httpx.Response(0, json={"error": KEY, "url": URL}),
    httpx.Response(0, json=[KEY, URL]),
    httpx.Response(0, text=f"<html>{KEY}</html> {URL}"),
    httpx.Response(0, text="x" * (MAX_MESSAGE_CHARACTERS - 5) + KEY),
    httpx.Response(0, json={"message": "x" * (MAX_MESSAGE_CHARACTERS - 5) + KEY}),
    httpx.Response(0, headers={"retry-after": KEY, "x-key": KEY, "location": f"https://{KEY}@evil.example/{KEY}"}),
]
FAILING = [301, 400, 401, 402, 403, 404, 408, 422, 429, 500, 503]


def all_text_of(error: BaseException) -> str:
    """Return all text of an error that a log, a Prefect state or the ledger could contain."""
    return "".join(traceback.format_exception(error)) + f"{error!r} {error.__dict__}"


@pytest.mark.parametrize("status", FAILING)
@pytest.mark.parametrize("echo", ECHOES)
async def test_echoed_secret_is_redacted_from_errors(
    make_client: ClientFactory, echo: httpx.Response, status: int
) -> None:
    response = httpx.Response(status, headers=echo.headers, content=echo.content)
    client = make_client(Responses(response))
    for call in (send_create, send_get, send_list):
        with pytest.raises(AvatarsError) as caught:
            await call(client)
        assert SECRETS not in all_text_of(caught.value)


@pytest.mark.parametrize(
    "failure",
    [
        httpx.RemoteProtocolError(f"illegal status line: bytearray(b'{KEY} {URL}')"),
        httpx.ConnectError(f"cannot connect {KEY} {URL}"),
        httpx.ReadError("x" * (MAX_MESSAGE_CHARACTERS - 20) + KEY),
    ],
)
async def test_secret_in_a_transport_error_is_redacted(make_client: ClientFactory, failure: Exception) -> None:
    client = make_client(Responses(failure))
    for call in (send_create, send_get, send_list):
        with pytest.raises(AvatarsError) as caught:
            await call(client)
        assert SECRETS not in all_text_of(caught.value)
        assert type(failure).__name__ in str(caught.value)


async def test_long_error_body_is_truncated(make_client: ClientFactory) -> None:
    with pytest.raises(SubmissionRejected) as caught:
        await make_client(Responses(argil_error(422, "x" * 10_000))).create_avatar(create_request())
    assert caught.value.body == {"code": 7, "message": "x" * MAX_MESSAGE_CHARACTERS}


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (httpx.Response(422, json={"code": "E7", "message": 5}), (None, '{"code":"E7","message":5}')),
        (httpx.Response(422, json={"detail": "no"}), (None, '{"detail":"no"}')),
        (httpx.Response(422, text="no"), (None, "no")),
        (httpx.Response(422), (None, "Unprocessable Entity")),
        (httpx.Response(500, json={"code": 7, "message": "no"}), (7, "no")),
        (httpx.Response(502, html="<style>a{}</style><h1>502</h1> Bad &amp; Gateway"), (None, "502 Bad & Gateway")),
        (httpx.Response(413, text="<html>\n<title>413 too large"), (None, "413 too large")),
    ],
)
async def test_words_of_an_unknown_outcome_are_kept(
    make_client: ClientFactory, response: httpx.Response, expected: tuple[int | None, str]
) -> None:
    with pytest.raises(SubmissionOutcomeUnknown) as caught:
        await make_client(Responses(response)).create_avatar(create_request())
    recorded = caught.value.response
    assert recorded is not None
    assert (recorded["code"], recorded["message"]) == expected
    assert recorded["status"] == response.status_code


@pytest.mark.parametrize("charset", ["hex", "undefined", "zlib", "no-such"])
async def test_error_body_in_an_unknown_charset_is_decoded(charset: str, clock: FakeClock) -> None:
    response = httpx.Response(
        400, headers={"content-type": f"text/plain; charset={charset}"}, content=b"Grace \xff"
    )
    async with ArgilClient(
        "https://argil.test",
        KEY,
        clock=clock,
        requests_per_second=NO_LIMIT,
        transport=httpx.MockTransport(lambda _: response),
    ) as client:
        with pytest.raises(SubmissionOutcomeUnknown, match="Grace \ufffd"):
            await client.create_avatar(create_request())


async def test_cookies_are_not_stored(clock: FakeClock) -> None:
    cookies = [(b"set-cookie", b"a=b"), (b"set-cookie", b"\xc3\xa9")]
    handler = Responses(httpx.Response(200, headers=cookies, json=AVATAR))
    async with ArgilClient(
        "https://argil.test",
        KEY,
        clock=clock,
        requests_per_second=NO_LIMIT,
        transport=httpx.MockTransport(handler),
    ) as client:
        for _ in range(2):
            await client.get_avatar("a-1")
    assert all("cookie" not in request.headers for request in handler.requests)
