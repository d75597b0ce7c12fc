"""Deliveries and webhooks as Argil sends them, read tolerantly; the receiver's address; its token kept quiet."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from models.errors import InvalidRequest
from models.webhook import EVENTS, KEPT_CHARACTERS, Delivery, Webhook, masked, receiver_url

TOKEN = "canary-token-0123456789"
SUCCESS = {
    "event": "AVATAR_TRAINING_SUCCESS",
    "data": {"avatarId": "a-1", "voiceId": "v-1", "avatarName": "Ada", "extras": {"submission_id": "s-1"}},
}


def read(body: Any) -> Delivery | None:
    return Delivery.read(json.dumps(body).encode())


def told(**data: Any) -> dict[str, Any]:
    return {"event": "AVATAR_TRAINING_FAILED", "data": {"avatarId": "a-1", **data}}


@pytest.mark.parametrize("event", [*EVENTS, "AVATAR_GENERATION_FAILED"])
def test_each_event_of_a_trainings_end_is_read(event: str) -> None:
    delivery = read(SUCCESS | {"event": event})
    assert delivery is not None
    assert (delivery.event, delivery.avatar_id) == (event, "a-1")


@pytest.mark.parametrize(
    "body",
    [
        told(),
        told(avatarName=None, extras=None),
        told(extras="submission_id=s-1"),
        told(extras='{"submission_id": "s-1"}'),
        told(extras=[1], avatarName=7, status="IDLE", new={"x": [1]}),
        told(avatarName="\ud800 \x00 ü"),
        told() | {"new": 1},
    ],
)
def test_everything_but_event_and_avatar_id_may_be_of_any_shape(body: Any) -> None:
    delivery = read(body)
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
def test_what_is_no_json_object_of_ours_is_none(raw: bytes) -> None:
    assert Delivery.read(raw) is None


@pytest.mark.parametrize("event", ["VIDEO_GENERATION_SUCCESS", "avatar_training_success", "", None, 1, ["x"], {}])
def test_another_event_is_none(event: Any) -> None:
    assert read(SUCCESS | {"event": event}) is None


@pytest.mark.parametrize("avatar_id", [None, 7, "", "a b", "a\n", "a\x00", "\ud800", "ü", "x" * 257, ["a-1"], {}])
def test_without_a_plain_avatar_id_it_is_none(avatar_id: Any) -> None:
    assert read(told(avatarId=avatar_id)) is None


@pytest.mark.parametrize("data", [None, "a-1", 7, [{"avatarId": "a-1"}], {}, {"id": "a-1"}])
def test_without_data_it_is_none(data: Any) -> None:
    assert read(SUCCESS | {"data": data}) is None


def test_the_same_bytes_have_the_same_digest_and_others_another() -> None:
    bodies = [SUCCESS, told(), told(avatarId="a-2"), told(extras={}), told() | {"event": "AVATAR_TRAINING_SUCCESS"}]
    deliveries = [read(body) for body in (*bodies, *bodies)]
    assert len({delivery.digest for delivery in deliveries if delivery}) == len(bodies)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(told(extras={"video": "https://h.example/d.mp4?X-Amz-Signature=canary"})),
        json.dumps(told(extras=json.dumps({"video": "https://h.example/d.mp4?X-Amz-Signature=canary"}))),
        json.dumps(told(video="https://h.example/d.mp4?X-Amz-Signature=canary")).replace("/", r"\/"),
        json.dumps(told(video="https://h.example/d.mp4?X-Amz-Signature=canary")).replace("?", r"\u003f"),
        json.dumps(told(extras='{"v":"https:\\/\\/h.example\\/d.mp4?X-Amz-Signature=canary"}')),
        json.dumps(told(video="https://ada:canary@h.example/d.mp4")),
    ],
)
def test_what_is_kept_of_a_body_has_no_secret_of_a_url_however_it_is_escaped(text: str) -> None:
    delivery = Delivery.read(text.encode())
    assert delivery is not None
    assert "canary" not in delivery.body
    assert "h.example/d.mp4" in delivery.body


def test_what_is_kept_of_a_body_is_bounded() -> None:
    delivery = read(told(extras="x" * 60_000))
    assert delivery is not None
    assert len(delivery.body) == KEPT_CHARACTERS


def test_a_webhook_is_read_with_or_without_events() -> None:
    there = Webhook.read({"id": "w-1", "callbackUrl": "https://a.example", "events": ["X", 7], "new": 1})
    assert there is not None
    assert (there.id, there.url, there.events) == ("w-1", "https://a.example", ("X",))
    bare = Webhook.read({"id": "w-1", "callbackUrl": "https://a.example", "events": None})
    assert bare is not None
    assert bare.events == ()


@pytest.mark.parametrize(
    "answer", [None, [], "w", {}, {"id": "w-1"}, {"callbackUrl": "u"}, {"id": "", "callbackUrl": "u"}]
)
def test_what_is_no_webhook_is_none(answer: Any) -> None:
    assert Webhook.read(answer) is None


@pytest.mark.parametrize(
    ("base", "address"),
    [
        ("https://avatars.example", "https://avatars.example/webhooks/argil/"),
        ("https://avatars.example/", "https://avatars.example/webhooks/argil/"),
        ("https://avatars.example:8443/behind/proxy", "https://avatars.example:8443/behind/proxy/webhooks/argil/"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/webhooks/argil/"),
    ],
)
def test_the_receivers_address_is_its_base_and_our_path(base: str, address: str) -> None:
    assert receiver_url(base) == address


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
def test_a_base_that_is_none_is_one_clear_error(base: str) -> None:
    with pytest.raises(InvalidRequest, match="url: "):
        receiver_url(base)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://a.example/webhooks/argil/{TOKEN}", "https://a.example/webhooks/argil/…"),
        (f"https://a.example/p/webhooks/argil/{TOKEN}/x?y=canary", "https://a.example/p/webhooks/argil/…/x?…"),
        ("https://ada:canary@other.example/hook?key=canary#canary", "https://other.example/hook?…"),
        ("https://other.example/hook", "https://other.example/hook"),
    ],
)
def test_a_masked_url_tells_no_secret(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_a_body_of_backslashes_is_read_in_a_time_that_grows_with_its_length() -> None:
    began = time.thread_time()
    assert read(told(avatarName="\\" * 500_000)) is not None
    assert time.thread_time() - began < 15  # trying each of them anew took minutes


def test_an_address_that_is_no_url_is_not_quoted() -> None:
    with pytest.raises(InvalidRequest) as caught:
        receiver_url(f"https://[{TOKEN}@x]")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("text", ["a\ud83d", "a\x00"])
def test_an_id_that_no_url_takes_is_no_webhook(text: str) -> None:
    assert Webhook.read({"id": text, "callbackUrl": "https://a.example"}) is None
    assert Webhook.read({"id": "a", "callbackUrl": text}) == Webhook.read({"id": "a", "callbackUrl": "a?"})
