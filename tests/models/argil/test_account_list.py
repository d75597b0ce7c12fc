"""A list response shows which avatars exist; only a complete one proves that an avatar does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from models.argil.account_list import AccountList, SoughtAvatar
from models.argil.response import ArgilResponse

SOUGHT = SoughtAvatar({"s-1", "s-2"}, "Ada", datetime(2026, 11, 23, 9, 0, tzinfo=UTC))
OURS: dict[str, Any] = {"id": "a-1", "name": "Ada", "status": "TRAINING", "extras": {"submission_id": "s-1"}}
OTHER: dict[str, Any] = {"id": "a-9", "name": "Ada", "status": "IDLE", "extras": {"submission_id": "s-9"}}
BARE = {"id": "a-8", "name": "Ada", "status": "IDLE"}


def account(body: object, status: int = 200, headers: dict[str, str] | None = None) -> AccountList:
    return AccountList(ArgilResponse(status, headers or {}, json.dumps(body).encode(), is_list=True))


@pytest.mark.parametrize(
    "items",
    [
        [OURS],
        [None, 7, "x", {}, OTHER, OURS],
        [{**OURS, "status": None}],
        [{**OURS, "status": 7, "name": None}],
        [{**OURS, "extras": '{"submission_id": "s-1"}'}],
        [{**OURS, "id": 7}, OURS],
    ],
)
def test_own_avatar_is_found_among_malformed_items(items: list[object]) -> None:
    assert [avatar.id for avatar in account(items).find(SOUGHT)] == ["a-1"]


def test_avatar_is_found_in_an_envelope() -> None:
    page = account({"data": [OURS], "next": "https://argil.example/v1/avatars?page=2"})
    assert [avatar.id for avatar in page.find(SOUGHT)] == ["a-1"]


@pytest.mark.parametrize(
    "items",
    [
        [],
        [OTHER],
        [{**OTHER, "status": None}],
        [{**OTHER, "id": 7}],
        [{**BARE, "name": "Grace"}],
        [{**BARE, "createdAt": "2026-11-22T09:00:00Z"}],
        [{**BARE, "createAt": "2026-11-22T09:00:00"}],
    ],
)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-ratelimit-remaining": "7", "content-type": "application/json"},
        {"link": "<https://fonts.example>; rel=preconnect", "age": "0", "x-cache": "MISS"},
        {"last-modified": "now", "x-envoy-attempt-count": "1", "x-rate-limit-limit": "9"},
        {"link": '<https://docs.example/avatars>; rel="canonical"', "x-total-time": "7"},
        {"cache-control": "max-age=0, stale-while-revalidate=60", "cf-cache-status": "DYNAMIC"},
        {"cache-status": "edge; fwd=stale", "x-cache": "RefreshHit from cloudfront", "x-cache-status": "EXPIRED"},
        {"cdn-cache-control": "stale-if-error=60", "x-cache-lookup": "NONE"},
    ],
)
def test_complete_list_without_the_avatar_proves_absence(items: list[object], headers: dict[str, str]) -> None:
    listed = account(items, headers=headers)
    assert listed.find(SOUGHT) == []
    assert listed.inconclusive_because(SOUGHT) == ""


@pytest.mark.parametrize(
    "headers",
    [
        {"link": '<https://argil.example/v1/avatars?page=2>; rel="next"'},
        {"link": "<https://argil.example/v1/avatars?page=2>"},
        {"link": '<https://a.example>; rel=preload, <https://argil.example/v1/avatars?page=2>; rel="next"'},
        {"x-total-count": "1"},
        {"total": "21"},
        {"content-range": "items 0-0/21"},
        {"x-next-page": "2"},
        {"x-pagination": "{}"},
        {"x-next-cursor": "abc"},
        {"link": '</s.css>; rel=preload, <https://argil.example/v1/avatars?page=2>; rel="last"'},
        *({name: "1"} for name in ("x-has-more", "x-hasmore", "x-truncated", "x-partial", "x-offset")),
        *({name: "1"} for name in ("x-limit", "x-count", "x-totalcount", "x-nextpage", "x-pagesize")),
        *({name: "1"} for name in ("x-ms-continuationtoken", "x-last-id", "x-marker", "odata-nextlink")),
        *({name: "1"} for name in ("x_page", "per_page", "x_total_count", "x-incomplete-results")),
    ],
)
def test_paging_header_proves_no_absence(headers: dict[str, str]) -> None:
    assert "one page" in account([OTHER], headers=headers).inconclusive_because(SOUGHT)


@pytest.mark.parametrize(
    "headers",
    [
        {"age": "3600"},
        {"warning": '110 - "Response is Stale"'},
        *({"x-cache": value} for value in ("HIT", "Hit from cloudfront", "TCP_HIT from a1", "MISS, HIT")),
        *({name: "HIT"} for name in ("cf-cache-status", "x-cache-status", "x-proxy-cache", "cdn-cache")),
        *({"x-vercel-cache": value} for value in ("STALE", "PRERENDER, hit")),
        {"x-cache-status": "UPDATING"},
        {"cache-status": '"edge"; hit; ttl=30'},
        {"cache-status": "edge;hit"},
    ],
)
def test_cached_list_proves_no_absence(headers: dict[str, str]) -> None:
    assert "cache" in account([OTHER], headers=headers).inconclusive_because(SOUGHT)


@pytest.mark.parametrize(
    ("body", "status"), [({"data": [OTHER]}, 200), ({"items": [], "total": 0}, 200), ([OTHER], 206), ([], 203)]
)
def test_envelope_or_partial_content_proves_no_absence(body: object, status: int) -> None:
    assert account(body, status).inconclusive_because(SOUGHT)


@pytest.mark.parametrize(
    "item",
    [
        None,
        7,
        [OTHER],
        {**OURS, "id": 7},
        {**OURS, "id": None},
        BARE,
        {**BARE, "extras": None},
        {**BARE, "extras": 7, "name": None},
        {**BARE, "extras": {}},
        {**BARE, "extras": {"submission_id": None}},
        {**BARE, "extras": {"submission_id": 7}},
        {**BARE, "name": 7},
        {**BARE, "createdAt": "2026-11-23T09:00:01Z"},
        {**BARE, "name": ["Ada"]},
        {**BARE, "name": {}},
        {"status": "IDLE"},
    ],
)
def test_item_that_may_be_the_avatar_proves_no_absence(item: object) -> None:
    listed = account([OTHER, item])
    assert listed.find(SOUGHT) == []
    assert listed.inconclusive_because(SOUGHT)


def test_avatars_are_the_items_with_an_id_and_a_status() -> None:
    listed = account([OURS, None, {**OTHER, "status": None}, {**OTHER, "id": 7}])
    assert [avatar.id for avatar in listed.avatars] == ["a-1"]
