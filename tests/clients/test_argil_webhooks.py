"""Webhooks at Argil: registered once, listed, removed, and the token told to nobody but Argil."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from clients.argil import ArgilClient
from clients.webhook_registration import register_once, remove_all
from models.errors import ArgilUnauthorized, OperatorError
from models.webhook import EVENTS
from simulator.server import ArgilSimulator, running_argil
from tests.fakes import FakeClock

ADDRESS = "https://avatars.example/webhooks/argil/"
TOKEN = "canary-token-0123456789"
KEY = "canary-key"


@pytest.fixture
def argil() -> Iterator[ArgilSimulator]:
    with running_argil(api_key=KEY) as running:
        yield running


@pytest.fixture
async def client(argil: ArgilSimulator, clock: FakeClock) -> AsyncIterator[ArgilClient]:
    async with ArgilClient(argil.api_url, KEY, clock=clock, requests_per_second=1e6) as opened:
        yield opened


def answering(answer: httpx.Response | Exception, clock: FakeClock) -> ArgilClient:
    def handle(_request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = httpx.MockTransport(handle)
    return ArgilClient("https://argil.example/v1", KEY, clock=clock, requests_per_second=1e6, transport=transport)


def urls(argil: ArgilSimulator) -> list[str]:
    return [webhook["callbackUrl"] for webhook in argil.world.webhooks.all()]


async def test_a_webhook_is_registered_listed_and_removed(client: ArgilClient) -> None:
    await client.register_webhook("https://a.example/x", ["AVATAR_TRAINING_SUCCESS"])
    (there,) = await client.webhooks()
    assert (there.url, there.events) == ("https://a.example/x", ("AVATAR_TRAINING_SUCCESS",))
    await client.remove_webhook(there.id)
    assert await client.webhooks() == []


async def test_registering_twice_registers_once(client: ArgilClient, argil: ArgilSimulator) -> None:
    assert await register_once(client, ADDRESS, TOKEN)
    before = argil.world.webhooks.all()
    assert before == [{"id": before[0]["id"], "callbackUrl": ADDRESS + TOKEN, "events": list(EVENTS)}]
    assert not await register_once(client, ADDRESS, TOKEN)
    assert argil.world.webhooks.all() == before


async def test_what_is_registered_otherwise_at_the_same_address_gives_way(
    client: ArgilClient, argil: ArgilSimulator
) -> None:
    foreign = "https://avatars.example/other"
    for url, events in (
        (foreign, list(EVENTS)),
        (ADDRESS + "an-old-token-0123", list(EVENTS)),
        (ADDRESS + TOKEN, ["AVATAR_TRAINING_FAILED"]),
    ):
        argil.world.webhooks.add({"callbackUrl": url, "events": events})
    assert await register_once(client, ADDRESS, TOKEN)
    assert urls(argil) == [foreign, ADDRESS + TOKEN]
    argil.world.webhooks.add({"callbackUrl": ADDRESS + TOKEN, "events": [*EVENTS, "MORE"]})
    assert not await register_once(client, ADDRESS, TOKEN)
    assert urls(argil) == [foreign, ADDRESS + TOKEN]


async def test_removing_takes_every_token_of_the_address_and_no_other(
    client: ArgilClient, argil: ArgilSimulator
) -> None:
    others = ["https://avatars.example/webhooks/other/x", "https://other.example/webhooks/argil/x"]
    for url in (*others, ADDRESS + TOKEN, ADDRESS + "an-old-token-0123"):
        argil.world.webhooks.add({"callbackUrl": url, "events": list(EVENTS)})
    assert await remove_all(client, ADDRESS) == 2
    assert urls(argil) == others
    assert await remove_all(client, ADDRESS) == 0


async def test_what_is_no_webhook_in_the_list_is_left_out(clock: FakeClock) -> None:
    answer = httpx.Response(200, json=[None, 7, {"id": "w-1"}, {"id": "w-2", "callbackUrl": "https://a.example"}])
    async with answering(answer, clock) as client:
        assert [one.id for one in await client.webhooks()] == ["w-2"]


async def test_an_id_cannot_lead_to_another_path(clock: FakeClock) -> None:
    seen: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path)
        return httpx.Response(204)

    async with ArgilClient(
        "https://argil.example/v1",
        KEY,
        clock=clock,
        requests_per_second=1e6,
        transport=httpx.MockTransport(handle),
    ) as client:
        await client.remove_webhook("../avatars?x")
    assert seen == [b"/v1/webhooks/..%2Favatars%3Fx"]


@pytest.mark.parametrize(
    "answer",
    [
        *(
            httpx.Response(status, json={"code": 7, "message": f"no {KEY} {ADDRESS}{TOKEN}"})
            for status in (301, 400, 401, 402, 403, 404, 422, 429, 500, 503)
        ),
        httpx.Response(500, text=f"<html>https:\\/\\/avatars.example\\/{TOKEN}"),
        httpx.ReadTimeout(""),
        httpx.ConnectError(f"cannot connect {KEY} {TOKEN}"),
    ],
)
async def test_whatever_fails_is_the_operators_to_mend_and_tells_no_secret(
    clock: FakeClock, answer: httpx.Response | Exception
) -> None:
    async with answering(answer, clock) as client:
        for call in (
            client.register_webhook(ADDRESS + TOKEN, EVENTS),
            client.webhooks(),
            client.remove_webhook("w"),
        ):
            with pytest.raises(OperatorError) as caught:
                await call
            told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__)
            assert "canary" not in told
            if isinstance(answer, httpx.Response) and answer.status_code in {401, 403}:
                assert isinstance(caught.value, ArgilUnauthorized)


@pytest.mark.parametrize("content", [b"", b"<html>", b"{}", b"7"])
async def test_a_list_that_is_none_is_an_error(clock: FakeClock, content: bytes) -> None:
    async with answering(httpx.Response(200, content=content), clock) as client:
        with pytest.raises(OperatorError, match="no list"):
            await client.webhooks()
