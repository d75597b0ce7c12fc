"""Webhook deliveries and webhooks, parsed leniently; the receiver URL and its masked token."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from models.argil.webhook import (
    MAX_STORED_BODY_CHARACTERS,
    SUBSCRIBED_EVENTS,
    Webhook,
    WebhookDelivery,
    mask_token,
    receiver_url,
)
from models.errors import InvalidRequest

TOKEN = "canary-token-0123456789"
SUCCESS = {
    "event": "AVATAR_TRAINING_SUCCESS",
    "data": {"avatarId": "a-1", "voiceId": "v-1", "avatarName": "Ada", "extras": {"submission_id": "s-1"}},
}


def parse_body(body: Any) -> WebhookDelivery | None:
    return WebhookDelivery.parse(json.dumps(body).encode())


def delivery_body(**data: Any) -> dict[str, Any]:
    return {"event": "AVATAR_TRAINING_FAILED", "data": {"avatarId": "a-1", **data}}


@pytest.mark.parametrize("event", [*SUBSCRIBED_EVENTS, "AVATAR_GENERATION_FAILED"])
def test_each_training_event_is_parsed(event: str) -> None:
    delivery = parse_body(SUCCESS | {"event": event})
    assert delivery is not None
    assert (delivery.event, delivery.avatar_id) == (event, "a-1")


@pytest.mark.parametrize(
    "body",
    [
        delivery_body(),
        delivery_body(avatarName=None, extras=None),
        delivery_body(extras="submission_id=s-1"),
        delivery_body(extras='{"submission_id": "s-1"}'),
        delivery_body(extras=[1], avatarName=7, status="IDLE", new={"x": [1]}),
        delivery_body(avatarName="\ud800 \x00 ü"),
        delivery_body() | {"new": 1},
    ],
)
def test_other_delivery_fields_may_have_any_type(body: Any) -> None:
    delivery = parse_body(body)
    assert delivery is not None
    assert delivery.avatar_id == "a-1"
    assert delivery.body.isascii()
    assert "\x00" not in delivery.body


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"null",
        b"7",
        b'"AVATAR_TRAINING_SUCCESS"',
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"event": "AVATAR_TRAINING_FAILED", "data": {"avatarId": "a-1", "extras": ' + b"[" * 60_000,
        b'{"event": "AVATAR_TRAINING_FAILED", "data": {"avatarId": "a-1", "n": ' + b"9" * 5_000 + b"}}",
        json.dumps(SUCCESS).encode("utf-16"),
        json.dumps(SUCCESS).encode()[:-1],
    ],
)
def test_body_that_is_not_a_delivery_is_none(raw: bytes) -> None:
    assert WebhookDelivery.parse(raw) is None


@pytest.mark.parametrize("event", ["VIDEO_GENERATION_SUCCESS", "avatar_training_success", "", None, 1, ["x"], {}])
def test_delivery_of_another_event_is_none(event: Any) -> None:
    assert parse_body(SUCCESS | {"event": event}) is None


@pytest.mark.parametrize("avatar_id", [None, 7, "", "a b", "a\n", "a\x00", "\ud800", "ü", "x" * 257, ["a-1"], {}])
def test_delivery_without_a_valid_avatar_id_is_none(avatar_id: Any) -> None:
    assert parse_body(delivery_body(avatarId=avatar_id)) is None


@pytest.mark.parametrize(
    "avatar_id", ["https://v.example/a?sig=canary", "https://ada:canary@v.example/a", "token=canary"]
)
def test_avatar_id_with_a_secret_is_none(avatar_id: str) -> None:
    assert parse_body(delivery_body(avatarId=avatar_id)) is None


@pytest.mark.parametrize("data", [None, "a-1", 7, [{"avatarId": "a-1"}], {}, {"id": "a-1"}])
def test_delivery_without_data_is_none(data: Any) -> None:
    assert parse_body(SUCCESS | {"data": data}) is None


def test_digest_is_equal_only_for_equal_bytes() -> None:
    bodies = [
        SUCCESS,
        delivery_body(),
        delivery_body(avatarId="a-2"),
        delivery_body(extras={}),
        delivery_body() | {"event": "AVATAR_TRAINING_SUCCESS"},
    ]
    deliveries = [parse_body(body) for body in (*bodies, *bodies)]
    assert len({delivery.digest for delivery in deliveries if delivery}) == len(bodies)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(delivery_body(extras={"video": "https://h.example/d.mp4?X-Amz-Signature=canary"})),
        json.dumps(delivery_body(extras=json.dumps({"video": "https://h.example/d.mp4?X-Amz-Signature=canary"}))),
        json.dumps(delivery_body(video="https://h.example/d.mp4?X-Amz-Signature=canary")).replace("/", r"\/"),
        json.dumps(delivery_body(video="https://h.example/d.mp4?X-Amz-Signature=canary")).replace("?", r"\u003f"),
        json.dumps(delivery_body(extras='{"v":"https:\\/\\/h.example\\/d.mp4?X-Amz-Signature=canary"}')),
        json.dumps(delivery_body(video="https://ada:canary@h.example/d.mp4")),
    ],
)
def test_stored_body_has_no_url_secret_in_any_escaping(text: str) -> None:
    delivery = WebhookDelivery.parse(text.encode())
    assert delivery is not None
    assert "canary" not in delivery.body
    assert "h.example/d.mp4" in delivery.body


def test_stored_body_is_truncated() -> None:
    delivery = parse_body(delivery_body(extras="x" * 60_000))
    assert delivery is not None
    assert len(delivery.body) == MAX_STORED_BODY_CHARACTERS


def test_webhook_is_parsed_with_and_without_events() -> None:
    webhook = Webhook.parse({"id": "w-1", "callbackUrl": "https://a.example", "events": ["X", 7], "new": 1})
    assert webhook is not None
    assert (webhook.id, webhook.url, webhook.events) == ("w-1", "https://a.example", ("X",))
    bare = Webhook.parse({"id": "w-1", "callbackUrl": "https://a.example", "events": None})
    assert bare is not None
    assert bare.events == ()


@pytest.mark.parametrize(
    "response", [None, [], "w", {}, {"id": "w-1"}, {"callbackUrl": "u"}, {"id": "", "callbackUrl": "u"}]
)
def test_response_that_is_not_a_webhook_is_none(response: Any) -> None:
    assert Webhook.parse(response) is None


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("https://avatars.example", "https://avatars.example/webhooks/argil/"),
        ("https://avatars.example/", "https://avatars.example/webhooks/argil/"),
        ("https://avatars.example:8443/behind/proxy", "https://avatars.example:8443/behind/proxy/webhooks/argil/"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/webhooks/argil/"),
    ],
)
def test_receiver_url_is_base_plus_path(base: str, expected: str) -> None:
    assert receiver_url(base) == expected


@pytest.mark.parametrize(
    "base",
    [
        *(
            "",
            "avatars.example",
            "ftp://a.example",
            "http://a.example",
            "https://",
            "https://[::1",
            "https://a:99999",
        ),
        *("https://a.example?x=1", "https://a.example#x", "https://ada@a.example", "https://a b.example"),
        *("https://a.example\n", "https://" + "a" * 300),
    ],
)
def test_invalid_base_url_is_one_clear_error(base: str) -> None:
    with pytest.raises(InvalidRequest, match="url: "):
        receiver_url(base)


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        (f"https://a.example/webhooks/argil/{TOKEN}", "https://a.example/webhooks/argil/…"),
        (f"https://a.example/p/webhooks/argil/{TOKEN}/x?y=canary", "https://a.example/p/webhooks/argil/…/x?…"),
        ("https://ada:canary@other.example/hook?key=canary#canary", "https://other.example/hook?…"),
        ("https://other.example/hook", "https://other.example/hook"),
    ],
)
def test_masked_url_hides_token_and_query(url: str, masked: str) -> None:
    assert mask_token(url) == masked


def test_body_of_backslashes_is_parsed_in_linear_time() -> None:
    started_at = time.thread_time()
    assert parse_body(delivery_body(avatarName="\\" * 500_000)) is not None
    assert time.thread_time() - started_at < 15  # quadratic backtracking took minutes


def test_invalid_receiver_url_is_not_quoted() -> None:
    with pytest.raises(InvalidRequest) as caught:
        receiver_url(f"https://[{TOKEN}@x]")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("text", ["a\ud83d", "a\x00"])
def test_webhook_with_an_unstorable_id_is_none(text: str) -> None:
    assert Webhook.parse({"id": text, "callbackUrl": "https://a.example"}) is None
    assert Webhook.parse({"id": "a", "callbackUrl": text}) == Webhook.parse({"id": "a", "callbackUrl": "a?"})
