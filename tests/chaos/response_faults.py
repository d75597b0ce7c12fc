"""Changes of a response on its way from the simulator: gateways, caches, paging, encodings and damage.

None of them is a word of Argil's, such as a rejection, a 404 in its format or a complete list without the avatar.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx

from simulator.responses import OTHER_AVATAR_ID, OTHER_SUBMISSION_ID

Change = Callable[[bytes], httpx.Response]
"""Builds the response that arrives from the body that the simulator sent."""

PAGE = "<html><title>Just a moment...</title></html>"
PAGE_STATUSES = (200, 201, 302, 400, 403, 409, 413, 422, 500, 502, 503, 504, 520)
BARE_STATUSES = (200, 201, 202, 204, 206, 302, 400, 409, 413, 422, 500, 502, 503, 504)
OTHER: dict[str, Any] = {
    "id": OTHER_AVATAR_ID,
    "name": "Another",
    "status": "IDLE",
    "extras": {"submission_id": OTHER_SUBMISSION_ID},
}


def page(status: int) -> Change:
    """Return a gateway's page in place of the response."""
    headers = {"retry-after": "5"} if status == httpx.codes.SERVICE_UNAVAILABLE else None
    return lambda _: httpx.Response(status, html=PAGE, headers=headers)


def bare(status: int) -> Change:
    """Return a response without a body."""
    return lambda _: httpx.Response(status)


def json_of_a_gateway(status: int) -> Change:
    """Return an error of a gateway, which has no code."""
    return lambda _: httpx.Response(status, json={"message": "Internal server error"})


def truncated(keep: float) -> Change:
    """Return the first part of the body."""
    return lambda body: httpx.Response(200, content=body[: int(len(body) * keep)])


def encoded(encoding: str) -> Change:
    """Return the body in another encoding."""
    return lambda body: httpx.Response(200, content=body.decode().encode(encoding))


def damaged_gzip(position: float) -> Change:
    """Return the body compressed, with one damaged byte."""

    def change(body: bytes) -> httpx.Response:
        content = bytearray(gzip.compress(body, mtime=0))
        content[int(position * (len(content) - 1))] ^= 0xFF
        stream = httpx.ByteStream(bytes(content))
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=stream)

    return change


def with_fields(**fields: Any) -> Change:
    """Return each avatar in the body with other fields."""

    def change(body: bytes) -> httpx.Response:
        value = json.loads(body)
        avatars = value if isinstance(value, list) else [value]
        changed = [{**avatar, **fields} if "status" in avatar else avatar for avatar in avatars]
        content = json.dumps(changed if isinstance(value, list) else changed[0])
        return httpx.Response(200, content=content, headers={"content-type": "application/json"})

    return change


def other_avatar(_: bytes) -> httpx.Response:
    """Return another avatar, as after a mix-up in a cache. As a list, it is a page without the avatars sought."""
    return httpx.Response(200, json=OTHER)


def other_page(_: bytes) -> httpx.Response:
    """Return a page of the list without any own avatar."""
    return httpx.Response(200, json=[OTHER], headers={"link": '</v1/avatars?page=2>; rel="next"'})


def envelope(body: bytes) -> httpx.Response:
    """Return the body in an object, as one page."""
    return httpx.Response(200, json={"data": json.loads(body), "next": None})


def with_malformed_items(body: bytes) -> httpx.Response:
    """Return the list with items that are not avatars."""
    value = json.loads(body)
    return httpx.Response(200, json=[None, *value, {"id": 7}] if isinstance(value, list) else value)


def error_in_success(_: bytes) -> httpx.Response:
    """Return an error of Argil's with the status of a success, although the request was processed."""
    return httpx.Response(200, json={"code": 400, "message": "datasetVideo could not be read"})


def repeated_key(body: bytes) -> httpx.Response:
    """Return an avatar with two ids."""
    return httpx.Response(200, content=body.replace(b'"id":', b'"id":"x","id":', 1))


CHANGES: dict[str, Change] = {
    "gateway's page": page(502),
    "page with Retry-After": page(503),
    "challenge page": page(403),
    "challenge as a success": page(200),
    "too large, page": page(413),
    "gateway's JSON": json_of_a_gateway(504),
    "empty 202": bare(202),
    "truncated": truncated(0.7),
    "UTF-16": encoded("utf-16"),
    "damaged gzip": damaged_gzip(0.5),
    "null status": with_fields(status=None),
    "numeric id": with_fields(id=7),
    "null extras": with_fields(extras=None),
    "NaN": with_fields(width=float("nan")),
    "another avatar": other_avatar,
    "page of a list": other_page,
    "envelope": envelope,
    "malformed items": with_malformed_items,
    "error in a success": error_in_success,
    "repeated key": repeated_key,
}
"""The changes that the fault-injection tests mix with other faults."""
