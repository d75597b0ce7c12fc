"""ArgilClient against the simulator on a real socket; where that would mean waiting, against a transport."""

from __future__ import annotations

import asyncio
import json
import socket
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from clients.argil import CREATE_ATTEMPTS, ArgilClient
from clients.argil_answers import ANSWER_CHARACTERS
from clients.retry import backoff_seconds
from models.avatar import CreateAvatar, VideoSource
from models.errors import (
    ArgilBusy,
    ArgilPaymentRequired,
    ArgilUnauthorized,
    ArgilUnavailable,
    ArgilUnreachable,
    AvatarNotFound,
    AvatarsError,
    LeaseHeld,
    OutcomeUnknown,
    PollFailed,
    RequestRefused,
)
from simulator.scenarios import SCENARIOS
from simulator.server import ArgilSimulator, running_argil
from tests.fakes import FakeClock

KEY = "canary-key"
SECRETS = "cana"
RETRY_AFTER = 7.0
TRAINING_SECONDS = 100.0
NO_HURRY = 1e6
AVATAR = {"id": "a-1", "status": "NOT_TRAINED"}
RETRIES = CREATE_ATTEMPTS - 1
STEPS = [backoff_seconds(failures) for failures in range(1, CREATE_ATTEMPTS)]

Handler = Callable[[httpx.Request], httpx.Response] | Callable[[httpx.Request], Awaitable[httpx.Response]]


def asked(scenario: str = "", *, name: str = "Ada") -> CreateAvatar:
    return CreateAvatar(
        name=name,
        dataset_video=VideoSource(url="https://videos.example/ada/dataset.mp4?X-Amz-Signature=canary-signature"),
        consent_video=VideoSource(url="https://videos.example/ada/consent.mp4"),
        extras={"simulator": scenario, "submission_id": str(uuid4())},
    )


def waits(clock: FakeClock) -> list[float]:
    """Return the waits between sendings; the throttle's are far shorter."""
    return [seconds for seconds in clock.sleeps if seconds > 0.01]


class Answers:
    """A transport's handler: gives one answer after the other, the last one ever after, and keeps the requests.

    An answer is a response's status, or the response, or an error of the transport.
    """

    def __init__(self, *answers: int | httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, json={}) if isinstance(answer, int) else answer


Building = Callable[[Handler], ArgilClient]


@pytest.fixture
async def answered_by(clock: FakeClock) -> AsyncIterator[Building]:
    """Builds clients whose requests a handler answers, without any socket."""
    built: list[ArgilClient] = []

    def build(handler: Handler) -> ArgilClient:
        client = ArgilClient(
            "https://argil.example/v1",
            KEY,
            clock=clock,
            requests_per_second=NO_HURRY,
            transport=httpx.MockTransport(handler),  # type: ignore[arg-type]  # httpx takes a union of callables only
        )
        built.append(client)
        return client

    yield build
    for client in built:
        await client.close()


class Moment:
    """The time the shared simulator goes by: it runs with the clock of the test that runs, and never back."""

    def __init__(self) -> None:
        self._clock = FakeClock()
        self._ahead = 0.0

    def follow(self, clock: FakeClock) -> None:
        self._clock, self._ahead = clock, self() - clock.monotonic()

    def __call__(self) -> float:
        return self._clock.monotonic() + self._ahead


@pytest.fixture(scope="module")
def moment() -> Moment:
    return Moment()


@pytest.fixture(scope="module")
def argil(moment: Moment) -> Iterator[ArgilSimulator]:
    """One simulator for all tests here: each asks for an avatar with a name of its own."""
    with running_argil(
        api_key=KEY,
        clock=moment,
        training_seconds=TRAINING_SECONDS,
        retry_after_seconds=RETRY_AFTER,
        slow_seconds=0.01,
    ) as running:
        yield running


@pytest.fixture
def name() -> str:
    return f"Ada {uuid4()}"


@pytest.fixture
async def client(argil: ArgilSimulator, moment: Moment, clock: FakeClock) -> AsyncIterator[ArgilClient]:
    moment.follow(clock)
    async with ArgilClient(argil.api_url, KEY, clock=clock, requests_per_second=NO_HURRY) as opened:
        yield opened


def posts(argil: ArgilSimulator, name: str) -> list[dict[str, Any]]:
    return [post for post in argil.world.posts if post["name"] == name]


def avatars(argil: ArgilSimulator, name: str) -> list[dict[str, Any]]:
    return [avatar for avatar in argil.world.avatars if avatar["name"] == name]


# The create


async def test_a_create_sends_the_seeds_body_and_returns_the_avatar(
    client: ArgilClient, argil: ArgilSimulator, name: str
) -> None:
    request = asked(name=name)
    avatar = await client.create(request)
    assert posts(argil, name) == [request.body()]
    assert [avatar.id] == [made["id"] for made in avatars(argil, name)]
    assert avatar.status == "NOT_TRAINED"
    assert avatar.submission_id == request.extras["submission_id"]


async def test_the_key_goes_in_its_header_and_the_body_is_json(answered_by: Building) -> None:
    answers = Answers(httpx.Response(201, json=AVATAR))
    await answered_by(answers).create(asked())
    [sent] = answers.requests
    assert (sent.method, str(sent.url)) == ("POST", "https://argil.example/v1/avatars")
    assert sent.headers["x-api-key"] == KEY
    assert sent.headers["content-type"] == "application/json"
    assert set(json.loads(sent.content)) == {"name", "datasetVideo", "consentVideo", "extras"}


# How a create ends for each scenario: what comes of it, POSTs that arrived, avatars made, waits in between.
CREATES: dict[str, tuple[str | type[AvatarsError], int, int, list[float]]] = {
    "fail": ("NOT_TRAINED", 1, 1, []),
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
    "unavailable-bare": (OutcomeUnknown, 1, 0, []),
    "invalid": (RequestRefused, 1, 0, []),
    "echo": (RequestRefused, 1, 0, []),
    "payment-required": (ArgilPaymentRequired, 1, 0, []),
    "error-after-create": (OutcomeUnknown, 1, 1, []),
    "cut-after-create": (OutcomeUnknown, 1, 1, []),
    "cut-before-create": (OutcomeUnknown, 1, 0, []),
    "garbled": (OutcomeUnknown, 1, 1, []),
    "rate-limited,cut-after-create": (OutcomeUnknown, 3, 1, [RETRY_AFTER, RETRY_AFTER]),
    "unavailable,invalid": (RequestRefused, 3, 0, [RETRY_AFTER, RETRY_AFTER]),
}


def test_the_table_of_creates_knows_every_scenario() -> None:
    assert set(SCENARIOS) <= set(CREATES)


@pytest.mark.parametrize("scenario", CREATES)
async def test_a_create_is_sent_again_only_where_argil_surely_did_not_take_it(
    client: ArgilClient, argil: ArgilSimulator, clock: FakeClock, name: str, scenario: str
) -> None:
    expected, arrived, made, waited = CREATES[scenario]
    request = asked(scenario, name=name)
    if isinstance(expected, str):
        assert (await client.create(request)).status == expected
    else:
        with pytest.raises(expected):
            await client.create(request)
    assert posts(argil, name) == [request.body()] * arrived
    assert len(avatars(argil, name)) == made
    assert waits(clock) == waited


async def test_a_wrong_key_is_told_and_sent_once(argil: ArgilSimulator, clock: FakeClock) -> None:
    before = argil.world.count("POST /avatars")
    async with ArgilClient(argil.api_url, "wrong", clock=clock, requests_per_second=NO_HURRY) as client:
        with pytest.raises(ArgilUnauthorized, match="401") as caught:
            await client.create(asked())
    assert "ARGIL_API_KEY" in caught.value.hint
    assert argil.world.count("POST /avatars") == before + 1


async def test_what_argil_answers_to_a_request_it_refuses_is_kept(client: ArgilClient, name: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        await client.create(asked("no-such-scenario", name=name))
    assert caught.value.status == 400
    assert caught.value.answer["code"] == 400
    assert "unknown scenario" in caught.value.answer["message"]
    assert caught.value.answer["message"] in str(caught.value)


async def test_no_connection_is_tried_again_and_then_surely_nothing_was_taken(clock: FakeClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1"
    async with ArgilClient(url, KEY, clock=clock, requests_per_second=NO_HURRY) as client:
        with pytest.raises(ArgilUnreachable, match=url) as caught:
            await client.create(asked())
        with pytest.raises(PollFailed):
            await client.get("a-1")
    assert waits(clock) == STEPS
    assert "avatars doctor" in caught.value.hint


REQUEST = httpx.Request("POST", "https://argil.example/v1/avatars")
NOT_SENT = [
    httpx.ConnectError("refused", request=REQUEST),
    httpx.ConnectTimeout("", request=REQUEST),
    httpx.PoolTimeout("", request=REQUEST),
]
MAYBE_SENT = [
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
async def test_what_never_left_is_sent_again(answered_by: Building, failure: Exception) -> None:
    answers = Answers(failure, failure, httpx.Response(201, json=AVATAR))
    assert (await answered_by(answers).create(asked())).id == "a-1"
    assert len(answers.requests) == 3
    assert len({request.content for request in answers.requests}) == 1


@pytest.mark.parametrize("failure", MAYBE_SENT)
async def test_what_may_have_been_sent_is_unknown_and_never_sent_again(
    answered_by: Building, failure: Exception
) -> None:
    answers = Answers(failure)
    with pytest.raises(OutcomeUnknown, match=type(failure).__name__):
        await answered_by(answers).create(asked())
    assert len(answers.requests) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        *((status, RequestRefused) for status in (400, 404, 405, 409, 413, 415, 422)),
        *((status, ArgilUnauthorized) for status in (401, 403)),
        (402, ArgilPaymentRequired),
        *((status, OutcomeUnknown) for status in (200, 201, 204, 408, 500, 502, 503, 504)),
        *((status, ArgilUnavailable) for status in (301, 307, 308)),
        (httpx.Response(201, json={"id": "a-1"}), OutcomeUnknown),
        (httpx.Response(201, json=[AVATAR]), OutcomeUnknown),
        (httpx.Response(201, content=b"\xff\xfe"), OutcomeUnknown),
        (httpx.Response(201, content=b"[" * 100_000), OutcomeUnknown),
        (httpx.Response(500, json=AVATAR), OutcomeUnknown),
    ],
)
async def test_each_answer_that_is_no_avatar_is_one_error_after_one_sending(
    answered_by: Building, answer: int | httpx.Response, expected: type[AvatarsError]
) -> None:
    answers = Answers(answer)
    with pytest.raises(expected) as caught:
        await answered_by(answers).create(asked())
    assert type(caught.value) is expected
    assert len(answers.requests) == 1


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_a_redirect_is_not_followed(answered_by: Building, status: int) -> None:
    answers = Answers(httpx.Response(status, headers={"location": "https://evil.example/v1/avatars"}))
    client = answered_by(answers)
    with pytest.raises(ArgilUnavailable, match="redirect") as caught:
        await client.create(asked())
    assert caught.value.hint == "correct ARGIL_API_URL"
    with pytest.raises(PollFailed):
        await client.get("a-1")
    assert {request.url.host for request in answers.requests} == {"argil.example"}


@pytest.mark.parametrize("status", [200, 201])
async def test_any_success_with_an_avatar_is_the_avatar(answered_by: Building, status: int) -> None:
    assert (await answered_by(Answers(httpx.Response(status, json=AVATAR))).create(asked())).id == "a-1"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("wish", "waited"),
    [
        ("0", [0] * RETRIES),
        ("3", [3] * RETRIES),
        ("soon", STEPS),
        ("Mon, 23 Nov 2026 09:00:45 GMT", [45] + [0] * (RETRIES - 1)),
        ("50", [50, 50, 50]),
        ("100", [100]),
        ("3600", [120]),
    ],
)
async def test_argils_wish_is_obeyed_within_a_budget_of_attempts_and_time(
    answered_by: Building, clock: FakeClock, status: int, wish: str, waited: list[float]
) -> None:
    answers = Answers(httpx.Response(status, headers={"retry-after": wish}))
    with pytest.raises(ArgilBusy) as caught:
        await answered_by(answers).create(asked())
    asked_for = [seconds for seconds in clock.sleeps if seconds == 0 or seconds > 0.01]
    assert asked_for == pytest.approx(waited, abs=0.001)
    assert len(answers.requests) == len(waited) + 1
    assert "AVATARS_REQUESTS_PER_SECOND" in caught.value.hint


async def test_a_429_without_a_wish_is_sent_again_in_growing_steps(answered_by: Building, clock: FakeClock) -> None:
    answers = Answers(429)
    with pytest.raises(ArgilBusy):
        await answered_by(answers).create(asked())
    assert waits(clock) == STEPS
    assert len(answers.requests) == CREATE_ATTEMPTS


async def test_the_error_past_the_budget_tells_argils_wish(answered_by: Building) -> None:
    answers = Answers(httpx.Response(429, headers={"retry-after": "100"}))
    with pytest.raises(ArgilBusy) as caught:
        await answered_by(answers).create(asked())
    assert caught.value.retry_after_seconds == 100


async def test_an_unknown_outcome_ends_what_was_sent_again(answered_by: Building) -> None:
    answers = Answers(429, httpx.ConnectError("refused"), 500, httpx.Response(201, json=AVATAR))
    with pytest.raises(OutcomeUnknown):
        await answered_by(answers).create(asked())
    assert len(answers.requests) == 3


async def test_an_answer_that_trickles_in_for_ever_is_given_up(
    answered_by: Building, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    # Real seconds, since a stuck socket knows no clock of ours; a minute is too long for a test.
    monkeypatch.setattr("clients.argil.TOTAL_SECONDS", 0.01)
    monkeypatch.setattr("clients.argil.LIST_TOTAL_SECONDS", 0.01)
    client = answered_by(never)
    with pytest.raises(OutcomeUnknown, match="TimeoutError"):
        await client.create(asked())
    with pytest.raises(PollFailed, match="TimeoutError"):
        await client.get("a-1")
    with pytest.raises(PollFailed, match="TimeoutError"):
        await client.list_private()


async def test_before_each_sending_the_caller_is_asked(
    client: ArgilClient, argil: ArgilSimulator, name: str
) -> None:
    arrived_before: list[int] = []

    async def ask() -> None:
        arrived_before.append(len(posts(argil, name)))

    await client.create(asked("unavailable", name=name), before_each=ask)
    assert arrived_before == [0, 1, 2]


@pytest.mark.parametrize("allowed", [0, 1, 2])
async def test_a_caller_who_objects_stops_the_sending(
    client: ArgilClient, argil: ArgilSimulator, name: str, allowed: int
) -> None:
    async def ask() -> None:
        if len(posts(argil, name)) == allowed:
            raise LeaseHeld("taken over")

    with pytest.raises(LeaseHeld):
        await client.create(asked("unavailable", name=name), before_each=ask)
    assert len(posts(argil, name)) == allowed


# Reading


async def test_an_avatar_is_read_as_it_stands(client: ArgilClient, clock: FakeClock, name: str) -> None:
    made = await client.create(asked(name=name))
    assert (await client.get(made.id)).status == "NOT_TRAINED"
    clock.pass_(TRAINING_SECONDS / 2)
    assert (await client.get(made.id)).status == "TRAINING"
    clock.pass_(TRAINING_SECONDS / 2)
    ready = await client.get(made.id)
    assert (ready.status, ready.width, ready.name) == ("IDLE", 1920, name)


async def test_an_avatar_that_argil_denies_is_not_found(client: ArgilClient, clock: FakeClock, name: str) -> None:
    made = await client.create(asked("late-get", name=name))
    with pytest.raises(AvatarNotFound) as caught:
        await client.get(made.id)
    assert (caught.value.status, caught.value.answer["message"]) == (404, "no such avatar")
    clock.pass_(1)
    assert (await client.get(made.id)).id == made.id


async def test_a_look_that_fails_is_not_repeated_by_the_client(
    client: ArgilClient, argil: ArgilSimulator, clock: FakeClock, name: str
) -> None:
    made = await client.create(asked("flaky-polls", name=name))
    before = argil.world.count("GET /avatars/{id}")
    await client.get(made.id)
    with pytest.raises(PollFailed, match="500"):
        await client.get(made.id)
    await client.get(made.id)
    assert argil.world.count("GET /avatars/{id}") == before + 3
    assert waits(clock) == []


async def test_the_list_shows_what_the_account_has(client: ArgilClient, clock: FakeClock, name: str) -> None:
    at_once = await client.create(asked(name=name))
    late = await client.create(asked("list-lag", name=name))
    assert [one.id for one in await client.list_private() if one.name == name] == [at_once.id]
    clock.pass_(2)
    listed = [one for one in await client.list_private() if one.name == name]
    assert [one.id for one in listed] == [at_once.id, late.id]
    assert listed[1].submission_id == late.submission_id


async def test_only_private_avatars_are_listed_and_what_is_none_is_left_out(answered_by: Building) -> None:
    answers = Answers(httpx.Response(200, json=[{"id": "a-0"}, AVATAR, None, "x", {"id": "", "status": "IDLE"}]))
    listed = await answered_by(answers).list_private()
    assert [one.id for one in listed] == ["a-1"]
    assert str(answers.requests[0].url) == "https://argil.example/v1/avatars?visibility=private"


async def test_an_id_cannot_lead_to_another_path(answered_by: Building) -> None:
    answers = Answers(httpx.Response(200, json=AVATAR))
    await answered_by(answers).get("../webhooks/1?x=2#y")
    assert answers.requests[0].url.raw_path == b"/v1/avatars/..%2Fwebhooks%2F1%3Fx%3D2%23y"


async def create_one(client: ArgilClient) -> object:
    return await client.create(asked())


async def get_one(client: ArgilClient) -> object:
    return await client.get("a-1")


async def list_all(client: ArgilClient) -> object:
    return await client.list_private()


async def ask_the_time(client: ArgilClient) -> object:
    return await client.clock_offset_seconds()


READS = [get_one, list_all, ask_the_time]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        *((status, ArgilUnauthorized) for status in (401, 403)),
        *((status, PollFailed) for status in (301, 304, 400, 402, 408, 422, 429, 500, 502, 503, 504)),
        *((failure, PollFailed) for failure in (*NOT_SENT, *MAYBE_SENT)),
    ],
)
async def test_a_read_that_fails_is_a_missed_poll_unless_the_key_is_refused(
    answered_by: Building,
    read: Callable[[ArgilClient], Awaitable[object]],
    answer: int | Exception,
    expected: type[AvatarsError],
) -> None:
    answers = Answers(answer)
    with pytest.raises(expected) as caught:
        await read(answered_by(answers))
    assert type(caught.value) is expected
    assert len(answers.requests) == 1


@pytest.mark.parametrize("read", [get_one, list_all])
@pytest.mark.parametrize("content", [b"", b"<html>", b"null", b"7", b'{"id": "a-1"}', b"[" * 100_000, b"\xff"])
async def test_an_answer_that_cannot_be_read_is_a_missed_poll(
    answered_by: Building, read: Callable[[ArgilClient], Awaitable[object]], content: bytes
) -> None:
    with pytest.raises(PollFailed):
        await read(answered_by(Answers(httpx.Response(200, content=content))))


@pytest.mark.parametrize(
    ("headers", "wish"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "Mon, 23 Nov 2026 09:00:45 GMT"}, 45),
        ({"retry-after": "soon"}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
async def test_a_missed_poll_tells_argils_wish(
    answered_by: Building, status: int, headers: dict[str, str], wish: float | None
) -> None:
    with pytest.raises(PollFailed) as caught:
        await answered_by(Answers(httpx.Response(status, headers=headers))).get("a-1")
    assert caught.value.retry_after_seconds == wish


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
async def test_argils_date_tells_how_far_this_clock_is_ahead(
    answered_by: Building, date: str | None, offset: float | None
) -> None:
    headers = {} if date is None else {"date": date}
    answers = Answers(httpx.Response(404, headers=headers, json={"code": 404, "message": "no such avatar"}))
    assert await answered_by(answers).clock_offset_seconds() == offset


async def test_asking_the_time_shows_that_the_key_is_taken(client: ArgilClient) -> None:
    assert isinstance(await client.clock_offset_seconds(), float)


async def test_requests_keep_to_their_rate(clock: FakeClock) -> None:
    transport = httpx.MockTransport(Answers(httpx.Response(200, json=AVATAR)))
    async with ArgilClient(
        "https://argil.example/v1", KEY, clock=clock, requests_per_second=2, transport=transport
    ) as client:
        for _ in range(3):
            await client.get("a-1")
    assert clock.sleeps == pytest.approx([0.5, 0.5])


# Secrets

URL = "https://videos.example/a.mp4?file='x'&X-Amz-Signature=canary-signature"
ECHOES = [
    httpx.Response(0, json={"code": 7, "message": f"bad key {KEY} for {URL}"}),
    httpx.Response(0, json={"code": KEY, "message": KEY}),
    httpx.Response(0, json={"message": {"key": KEY, "url": URL}}),
    httpx.Response(0, json={"error": KEY, "url": URL}),
    httpx.Response(0, json=[KEY, URL]),
    httpx.Response(0, text=f"<html>{KEY}</html> {URL}"),
    httpx.Response(0, text="x" * (ANSWER_CHARACTERS - 5) + KEY),
    httpx.Response(0, json={"message": "x" * (ANSWER_CHARACTERS - 5) + KEY}),
    httpx.Response(0, headers={"retry-after": KEY, "x-key": KEY, "location": f"https://{KEY}@evil.example/{KEY}"}),
]
FAILING = [301, 400, 401, 402, 403, 404, 408, 422, 429, 500, 503]


def shown(error: BaseException) -> str:
    """Return whatever a log, a state or the ledger could take from an error."""
    return "".join(traceback.format_exception(error)) + f"{error!r} {error.__dict__}"


@pytest.mark.parametrize("status", FAILING)
@pytest.mark.parametrize("echo", ECHOES)
async def test_no_secret_that_argil_echoes_reaches_an_error(
    answered_by: Building, echo: httpx.Response, status: int
) -> None:
    answer = httpx.Response(status, headers=echo.headers, content=echo.content)
    client = answered_by(Answers(answer))
    for call in (create_one, get_one, list_all):
        with pytest.raises(AvatarsError) as caught:
            await call(client)
        assert SECRETS not in shown(caught.value)


@pytest.mark.parametrize(
    "failure",
    [
        httpx.RemoteProtocolError(f"illegal status line: bytearray(b'{KEY} {URL}')"),
        httpx.ConnectError(f"cannot connect {KEY} {URL}"),
        httpx.ReadError("x" * (ANSWER_CHARACTERS - 20) + KEY),
    ],
)
async def test_no_secret_in_a_failure_of_the_line_reaches_an_error(
    answered_by: Building, failure: Exception
) -> None:
    client = answered_by(Answers(failure))
    for call in (create_one, get_one, list_all):
        with pytest.raises(AvatarsError) as caught:
            await call(client)
        assert SECRETS not in shown(caught.value)
        assert type(failure).__name__ in str(caught.value)


async def test_a_long_answer_is_kept_in_part(answered_by: Building) -> None:
    with pytest.raises(RequestRefused) as caught:
        await answered_by(Answers(httpx.Response(422, text="x" * 10_000))).create(asked())
    assert caught.value.answer == {"code": None, "message": "x" * ANSWER_CHARACTERS}


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (httpx.Response(422, json={"code": 7, "message": "no"}), {"code": 7, "message": "no"}),
        (httpx.Response(422, json={"code": "E7", "message": 5}), {"code": None, "message": "5"}),
        (httpx.Response(422, json={"detail": "no"}), {"code": None, "message": '{"detail":"no"}'}),
        (httpx.Response(422, text="no"), {"code": None, "message": "no"}),
        (httpx.Response(422), {"code": None, "message": "Unprocessable Entity"}),
    ],
)
async def test_an_answer_in_any_shape_is_kept_as_code_and_message(
    answered_by: Building, answer: httpx.Response, kept: dict[str, Any]
) -> None:
    with pytest.raises(RequestRefused) as caught:
        await answered_by(Answers(answer)).create(asked())
    assert caught.value.answer == kept


@pytest.mark.parametrize("charset", ["hex", "undefined", "zlib", "no-such"])
async def test_an_answer_in_whatever_charset_is_told(charset: str, clock: FakeClock) -> None:
    says = httpx.Response(400, headers={"content-type": f"text/plain; charset={charset}"}, content=b"Grace \xff")
    async with ArgilClient(
        "https://argil.test",
        KEY,
        clock=clock,
        requests_per_second=NO_HURRY,
        transport=httpx.MockTransport(lambda _: says),
    ) as client:
        with pytest.raises(RequestRefused, match="Grace \ufffd"):
            await client.create(asked())


async def test_no_cookie_is_kept(clock: FakeClock) -> None:
    says = [(b"set-cookie", b"a=b"), (b"set-cookie", b"\xc3\xa9")]
    handler = Answers(httpx.Response(200, headers=says, json=AVATAR))
    async with ArgilClient(
        "https://argil.test", KEY, clock=clock, requests_per_second=NO_HURRY, transport=httpx.MockTransport(handler)
    ) as client:
        for _ in range(2):
            await client.get("a-1")
    assert all("cookie" not in request.headers for request in handler.requests)
