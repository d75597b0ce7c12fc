"""The meaning of each response of Argil's host, from method, status, content type, headers and body."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.argil.response import MAX_TEXT_CHARACTERS, ArgilResponse
from models.argil.response_meaning import RULES, Meaning, Operation, SentRequest, meaning_of

SENT = SentRequest(Operation.CREATE, submission_id="s-1", name="Ada")
GET = SentRequest(Operation.GET, avatar_id="a-1", submission_id="s-1")
OURS: dict[str, Any] = {"id": "a-1", "name": "Ada", "status": "NOT_TRAINED", "extras": {"submission_id": "s-1"}}
ERROR = {"code": 7, "message": "datasetVideo could not be read"}
PAGE = "<html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"
HTML = {"content-type": "text/html; charset=UTF-8"}
RETRY_AFTER = {"retry-after": "5"}


def respond(status: int, body: object = b"", headers: dict[str, str] | None = None) -> ArgilResponse:
    if isinstance(body, str):
        return ArgilResponse(status, headers or {}, body.encode())
    if isinstance(body, bytes):
        return ArgilResponse(status, headers or {}, body)
    return ArgilResponse(status, {"content-type": "application/json", **(headers or {})}, json.dumps(body).encode())


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in OURS.items() if name not in names}


UNUSABLE_IDS: list[object] = [7, None, "", [], {"id": "a-1"}, "x" * 300]
STATUSES: list[object] = [None, 7, "QUEUED", [], {}, True]

CREATED = [
    respond(201, OURS),
    respond(200, OURS),
    respond(201, json.dumps(OURS), HTML),
    *(respond(201, {**OURS, "status": status}) for status in STATUSES),
    respond(201, without("status")),
    respond(201, without("name")),
    respond(201, {**OURS, "extras": json.dumps(OURS["extras"])}),
    respond(201, {**OURS, "name": None, "width": "wide", "createAt": 7, "gestures": None}),
    respond(201, json.dumps({**OURS, "width": float("nan"), "height": float("inf")})),
    respond(201, json.dumps({**OURS, "width": 1}).replace('"width": 1', '"width": 1e999')),
    respond(201, {**OURS, "width": 10**400}),
    respond(201, {**OURS, "gestures": json.loads("[" * 200 + "]" * 200)}),
    *(
        respond(201, json.dumps(OURS).encode(encoding))
        for encoding in ("utf-8-sig", "utf-16", "utf-32", "utf-16-be")
    ),
    respond(201, json.dumps({**OURS, "name": "José"}, ensure_ascii=False).encode("latin-1")),
    respond(201, without("extras")),
    respond(201, {**OURS, "extras": None}),
]
WITHOUT_ID = [
    *(respond(201, {**OURS, "id": id_}) for id_ in UNUSABLE_IDS),
    respond(200, without("id")),
    respond(500, OURS),
    respond(409, {**OURS, "id": 7}),
]
REJECTED_IF_ABSENT = [
    *(
        respond(status, {"code": code, "message": "no"})
        for status in (200, 201, 202)
        for code in (400, 422, 500, 7)
    ),
    respond(200, {**ERROR, "id": None}),
]
REJECTED = [
    *(respond(status, ERROR) for status in (400, 413, 422)),
    respond(400, json.dumps(ERROR)),
    respond(400, json.dumps(ERROR).encode("utf-16"), {"content-type": "application/problem+json"}),
]
UNINTELLIGIBLE = [
    *(respond(status, PAGE, HTML) for status in (200, 201, 400, 402, 403, 413, 422, 500, 502, 503, 504, 520)),
    respond(503, PAGE, {**HTML, **RETRY_AFTER}),
    respond(403, PAGE),
    *(respond(status) for status in (200, 201, 202, 204, 302, 303, 304, 400, 409, 422)),
    respond(201, {**OURS, "extras": {"submission_id": "s-2"}}),
    respond(201, {**OURS, "extras": {}}),
    respond(201, {**without("extras"), "name": "Grace"}),
    respond(201, {"id": "a-1"}),
    respond(200, {"id": "req-7", "status": "error", "message": "upstream timeout"}),
    respond(202, {"id": "job-7", "status": "queued"}),
    respond(200, {"id": "e-7", "status": "500", "title": "Internal error"}),
    respond(201, [OURS]),
    respond(201, json.dumps(OURS)[:-5]),
    respond(201, json.dumps(OURS).replace('"id"', '"id": "a-2", "id"')),
    respond(201, gzip.compress(json.dumps(OURS).encode(), mtime=0)[:-8]),
    respond(201, "[" * 100_000),
    respond(201, '{"id": ' + "9" * 5000 + "}"),
    *(respond(200, {"code": code, "message": "no"}) for code in (401, 402, 403, 429)),
    respond(400, json.dumps(ERROR), HTML),
    *(respond(400, {**ERROR, "code": code}) for code in (None, "E7", 7.5, True)),
    *(respond(422, {**ERROR, "message": message}) for message in (None, 7, ["no"])),
    respond(400, {"message": "Invalid request body"}),
    respond(409, ERROR),
    respond(500, {"message": "Internal server error"}),
    respond(503, "upstream connect error or disconnect/reset before headers", {"content-type": "text/plain"}),
]
UNANSWERED = [respond(status, body) for status in (408, 500, 502, 503, 504, 599) for body in (b"", b" \n", ERROR)]
NO_SUCH_PATH = [respond(status, body) for status in (404, 405, 410) for body in (b"", ERROR, PAGE, OURS)]
RATE_LIMITED = [
    respond(429),
    respond(429, PAGE, HTML),
    respond(503, ERROR, RETRY_AFTER),
    respond(503, headers=RETRY_AFTER),
]
CREATES = {
    Meaning.CREATED: CREATED,
    Meaning.CREATED_WITHOUT_ID: WITHOUT_ID,
    Meaning.REJECTED_IF_ABSENT: REJECTED_IF_ABSENT,
    Meaning.REJECTED: REJECTED,
    Meaning.UNINTELLIGIBLE: UNINTELLIGIBLE,
    Meaning.UNANSWERED: UNANSWERED,
    Meaning.NO_SUCH_PATH: NO_SUCH_PATH,
    Meaning.RATE_LIMITED: RATE_LIMITED,
    Meaning.UNAUTHORIZED: [respond(401), respond(401, PAGE, HTML), respond(403, ERROR), respond(403)],
    Meaning.PAYMENT_REQUIRED: [respond(402), respond(402, ERROR), respond(402, {"error": "credits"})],
    Meaning.REDIRECTED: [respond(status, PAGE, {"location": "https://h"}) for status in (301, 307, 308)],
}
POLLS = {
    Meaning.AVATAR: [
        respond(200, OURS),
        respond(200, {**OURS, "status": "QUEUED"}),
        respond(200, without("extras", "name")),
        respond(200, {**OURS, "extras": {}}),
    ],
    Meaning.NOT_FOUND: [respond(404, ERROR)],
    Meaning.UNAUTHORIZED: [respond(401), respond(403)],
    Meaning.POLL_FAILED: [
        respond(200, {**OURS, "id": "a-2", "status": "IDLE"}),
        respond(200, {**OURS, "extras": {"submission_id": "s-2"}}),
        *(respond(200, {**OURS, "id": id_}) for id_ in (7, None, "A-1")),
        *(respond(200, {**OURS, "status": status}) for status in (None, 7)),
        respond(200, ERROR),
        respond(200, PAGE, HTML),
        respond(200, [OURS]),
        *(respond(404, body) for body in (b"", PAGE, {"message": "Cannot GET /avatars/a-1", "statusCode": 404})),
        *(respond(status, OURS) for status in (301, 302, 400, 410, 500)),
        respond(403, PAGE, HTML),
    ],
}
LISTS = {
    Meaning.AVATAR_LIST: [
        respond(200, []),
        respond(200, [OURS, None]),
        respond(206, []),
        respond(200, {"data": []}),
    ],
    Meaning.UNAUTHORIZED: [respond(401), respond(403)],
    Meaning.POLL_FAILED: [
        *(respond(status, ERROR) for status in (200, 400, 404, 429, 500)),
        respond(200, OURS),
        respond(200, PAGE, HTML),
        respond(200, "[{}, {"),
        respond(204),
    ],
}
REMOVED = {**ERROR, "message": "datasetImage is required"}
VIDEO_CREATES = {
    Meaning.VIDEO_CREATE_REMOVED: [respond(status, REMOVED) for status in (400, 404, 410, 422)],
    Meaning.REJECTED: [respond(413, REMOVED), respond(400, ERROR)],
}
CASES = [
    (sent, response, meaning)
    for sent, table in (
        (SENT, CREATES),
        (replace(SENT, is_video=True), VIDEO_CREATES),
        (GET, POLLS),
        (SentRequest(Operation.LIST), LISTS),
    )
    for meaning, responses in table.items()
    for response in responses
]


@pytest.mark.parametrize(
    ("sent", "response", "meaning"),
    CASES,
    ids=lambda value: f"{value.status} {bytes(value.body)[:40]!r}" if isinstance(value, ArgilResponse) else None,
)
def test_response_has_one_meaning(sent: SentRequest, response: ArgilResponse, meaning: Meaning) -> None:
    assert meaning_of(sent, response) is meaning


def test_cases_cover_every_row_of_the_table() -> None:
    first_rows = {
        next(number for number, rule in enumerate(RULES) if rule.applies(sent, response))
        for sent, response, _ in CASES
    }
    assert first_rows == set(range(len(RULES)))


def test_create_without_a_key_is_proved_by_its_id() -> None:
    sent = SentRequest(Operation.CREATE, name="Ada")
    assert meaning_of(sent, respond(201, OURS)) is Meaning.CREATED


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a-1", "s-1", "IDLE", "Ada"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*OURS, *ERROR]), inner, max_size=4)
    ),
    max_leaves=8,
)
_BODIES = st.binary(max_size=30) | _JSON.map(lambda value: json.dumps(value).encode()) | st.just(PAGE.encode())
_HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "retry-after"]),
    st.sampled_from(["application/json", "text/html", "text/plain; charset=utf-7", "3", ""]),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([SENT, GET, SentRequest(Operation.LIST)]), st.integers(100, 599), _HEADERS, _BODIES)
def test_every_response_has_a_meaning(sent: SentRequest, status: int, headers: dict[str, str], body: bytes) -> None:
    response = ArgilResponse(status, headers, body)
    meaning = meaning_of(sent, response)
    if meaning is Meaning.REJECTED:
        assert response.is_argil_error
    if meaning is Meaning.CREATED:
        assert response.avatar is not None
        assert response.submission_id in {None, "s-1"}
    if meaning in {Meaning.AVATAR, Meaning.NOT_FOUND}:
        assert status == 404 or (response.avatar is not None and response.avatar.id == "a-1")


@pytest.mark.parametrize("body", [b'{"code": 7, "message": "%s"}', b'["%s"]'], ids=["message", "text"])
def test_start_of_a_long_text_is_searched_for_secrets(body: bytes) -> None:
    sizes: list[int] = []

    def hide(text: str) -> str:
        sizes.append(len(text))
        return text

    ArgilResponse(422, {"content-type": "application/json"}, body % (b"word " * 10_000)).words(hide)
    assert 0 < max(sizes) <= MAX_TEXT_CHARACTERS
