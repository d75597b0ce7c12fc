"""Webhooks at Argil: registered once, listed, removed; errors do not contain the token."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from clients.argil import ArgilClient
from clients.webhook_registration import ensure_registered, unregister_all
from models.argil.webhook import SUBSCRIBED_EVENTS
from models.errors import ArgilUnauthorized, OperationalError
from simulator.server import ArgilSimulator, run_argil
from tests.fakes import FakeClock

ADDRESS = "https://avatars.example/webhooks/argil/"
TOKEN = "canary-token-0123456789"
KEY = "canary-key"


@pytest.fixture
def argil() -> Iterator[ArgilSimulator]:
    with run_argil(api_key=KEY) as running:
        yield running


@pytest.fixture
async def client(argil: ArgilSimulator, clock: FakeClock) -> AsyncIterator[ArgilClient]:
    async with ArgilClient(argil.api_url, KEY, clock=clock, requests_per_second=1e6) as client:
        yield client


def client_returning(response: httpx.Response | Exception, clock: FakeClock) -> ArgilClient:
    def handle(_request: httpx.Request) -> httpx.Response:
        if isinstance(response, Exception):
            raise response
        return response

    transport = httpx.MockTransport(handle)
    return ArgilClient("https://argil.example/v1", KEY, clock=clock, requests_per_second=1e6, transport=transport)


def urls(argil: ArgilSimulator) -> list[str]:
    return [webhook["callbackUrl"] for webhook in argil.account.webhooks.all()]


async def test_webhook_is_registered_listed_and_deleted(client: ArgilClient) -> None:
    await client.register_webhook("https://a.example/x", ["AVATAR_TRAINING_SUCCESS"])
    (webhook,) = await client.list_webhooks()
    assert (webhook.url, webhook.events) == ("https://a.example/x", ("AVATAR_TRAINING_SUCCESS",))
    await client.delete_webhook(webhook.id)
    assert await client.list_webhooks() == []


async def test_ensure_registered_is_idempotent(client: ArgilClient, argil: ArgilSimulator) -> None:
    assert await ensure_registered(client, ADDRESS, TOKEN)
    before = argil.account.webhooks.all()
    assert before == [{"id": before[0]["id"], "callbackUrl": ADDRESS + TOKEN, "events": list(SUBSCRIBED_EVENTS)}]
    assert not await ensure_registered(client, ADDRESS, TOKEN)
    assert argil.account.webhooks.all() == before


async def test_ensure_registered_replaces_outdated_webhooks(client: ArgilClient, argil: ArgilSimulator) -> None:
    other_url = "https://avatars.example/other"
    for url, events in (
        (other_url, list(SUBSCRIBED_EVENTS)),
        (ADDRESS + "an-old-token-0123", list(SUBSCRIBED_EVENTS)),
        (ADDRESS + TOKEN, ["AVATAR_TRAINING_FAILED"]),
    ):
        argil.account.webhooks.add({"callbackUrl": url, "events": events})
    assert await ensure_registered(client, ADDRESS, TOKEN)
    assert urls(argil) == [other_url, ADDRESS + TOKEN]
    argil.account.webhooks.add({"callbackUrl": ADDRESS + TOKEN, "events": [*SUBSCRIBED_EVENTS, "MORE"]})
    assert not await ensure_registered(client, ADDRESS, TOKEN)
    assert urls(argil) == [other_url, ADDRESS + TOKEN]


async def test_unregister_all_removes_only_this_address(client: ArgilClient, argil: ArgilSimulator) -> None:
    other_urls = ["https://avatars.example/webhooks/other/x", "https://other.example/webhooks/argil/x"]
    for url in (*other_urls, ADDRESS + TOKEN, ADDRESS + "an-old-token-0123"):
        argil.account.webhooks.add({"callbackUrl": url, "events": list(SUBSCRIBED_EVENTS)})
    assert await unregister_all(client, ADDRESS) == 2
    assert urls(argil) == other_urls
    assert await unregister_all(client, ADDRESS) == 0


async def test_invalid_webhooks_in_the_list_are_skipped(clock: FakeClock) -> None:
    response = httpx.Response(200, json=[None, 7, {"id": "w-1"}, {"id": "w-2", "callbackUrl": "https://a.example"}])
    async with client_returning(response, clock) as client:
        assert [webhook.id for webhook in await client.list_webhooks()] == ["w-2"]


async def test_webhook_id_cannot_change_the_path(clock: FakeClock) -> None:
    paths: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path)
        return httpx.Response(204)

    async with ArgilClient(
        "https://argil.example/v1",
        KEY,
        clock=clock,
        requests_per_second=1e6,
        transport=httpx.MockTransport(handle),
    ) as client:
        await client.delete_webhook("../avatars?x")
    assert paths == [b"/v1/webhooks/..%2Favatars%3Fx"]


@pytest.mark.parametrize(
    "response",
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
async def test_failure_is_an_operational_error_without_secrets(
    clock: FakeClock, response: httpx.Response | Exception
) -> None:
    async with client_returning(response, clock) as client:
        for call in (
            client.register_webhook(ADDRESS + TOKEN, SUBSCRIBED_EVENTS),
            client.list_webhooks(),
            client.delete_webhook("w"),
        ):
            with pytest.raises(OperationalError) as caught:
                await call
            text = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__)
            assert "canary" not in text
            if isinstance(response, httpx.Response) and response.status_code in {401, 403}:
                assert isinstance(caught.value, ArgilUnauthorized)


@pytest.mark.parametrize("content", [b"", b"<html>", b"{}", b"7"])
async def test_webhook_list_that_is_not_a_list_raises(clock: FakeClock, content: bytes) -> None:
    async with client_returning(httpx.Response(200, content=content), clock) as client:
        with pytest.raises(OperationalError, match="not a JSON list"):
            await client.list_webhooks()
