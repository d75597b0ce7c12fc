"""Schemathesis against what we serve: the simulator by Argil's document, the webhook receiver by its own.

Requests are drawn from the documents, right ones and wrong ones, and sent to real sockets.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.webhook import receiver, serve_receiver
from simulator.server import ArgilSimulator, running_argil
from simulator.serving import serving
from store import migration
from store.database import Database
from store.deliveries import Deliveries
from tests.fakes import FakeClock

EXAMPLES = 500 if os.environ.get("AVATARS_FUZZ") == "long" else 15
TOKEN = "canary-token-0123456789"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ARGIL = yaml.safe_load((Path(__file__).parents[1] / "third_party" / "argil-openapi.yaml").read_text())
_TEXT = {"description": "no", "content": {"text/plain": {"schema": {"type": "string"}}}}
RECEIVER: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "webhook receiver", "version": "1"},
    "paths": {
        "/webhooks/argil/{token}": {
            "post": {
                "parameters": [
                    {
                        "name": "token",
                        "in": "path",
                        "required": True,
                        "schema": {"anyOf": [{"enum": [TOKEN]}, {"type": "string"}]},
                    }
                ],
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["event", "data"],
                                "properties": {
                                    "event": {"enum": ["AVATAR_TRAINING_SUCCESS", "AVATAR_TRAINING_FAILED"]},
                                    "data": {
                                        "type": "object",
                                        "required": ["avatarId"],
                                        "properties": {
                                            "avatarId": {"type": "string", "minLength": 1},
                                            "extras": {},
                                        },
                                    },
                                },
                            }
                        }
                    }
                },
                "responses": {"202": {"description": "taken"}, "404": _TEXT},
            }
        },
        "/health": {"get": {"responses": {"200": {"description": "well", "content": {"application/json": {}}}}}},
    },
}

pytestmark = pytest.mark.timeout(1800)


def operations(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Paths and methods of a document."""
    methods = {"get", "post", "put", "delete"}
    return [(path, method) for path, item in document["paths"].items() for method in item if method in methods]


def hold(
    document: dict[str, Any], path: str, method: str, url: str, headers: dict[str, str], checks: list[Any]
) -> Counter[int]:
    """Send what the document allows, and what it does not; hold each answer against it, and count the statuses."""
    operation = schemathesis.openapi.from_dict(document)[path][method.upper()]
    right = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    statuses = Counter[int]()
    wrong = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @seed(7)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(knows=st.booleans(), case=right | wrong if method in {"post", "put"} or "{" in path else right)
    def each(*, knows: bool, case: Any) -> None:
        if knows and "{token}" in path:
            case.path_parameters = {"token": TOKEN}
        statuses[case.call_and_validate(base_url=url, headers=headers, checks=checks).status_code] += 1

    each()
    return statuses


@pytest.fixture(scope="module")
def argil() -> Iterator[ArgilSimulator]:
    with running_argil() as running:
        yield running


@pytest.mark.parametrize(("path", "method"), operations(ARGIL))
@pytest.mark.parametrize("knows_the_key", [True, False])
def test_the_simulator_answers_as_the_document_says(
    path: str, method: str, argil: ArgilSimulator, *, knows_the_key: bool
) -> None:
    headers = {"x-api-key": argil.api_key if knows_the_key else "wrong"}
    statuses = hold(ARGIL, path, method, argil.api_url, headers, [*CHECKS, negative_data_rejection])
    if not knows_the_key:
        # An id with a slash in it leads past every route.
        assert statuses.keys() <= ({401, 404} if "{id}" in path else {401})
        assert statuses[401]
    elif method == "post":
        assert statuses.keys() >= {201, 400}, "right ones and wrong ones were drawn"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The receiver on an event loop of its own, with a real ledger; its URL."""
    ready, done = threading.Event(), asyncio.Event()
    urls: list[str] = []
    loop = asyncio.new_event_loop()

    async def look(_avatar_id: str) -> None: ...

    async def serve() -> None:
        database = Database(f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('door') / 'ledger.db'}")
        await migration.upgrade(database)
        app = receiver(TOKEN, Deliveries(database, FakeClock()), look)
        async with serve_receiver(app, host="127.0.0.1", port=0) as url:
            urls.append(url)
            ready.set()
            await done.wait()
        await database.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    yield urls[0]
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


@pytest.mark.parametrize(("path", "method"), operations(RECEIVER))
def test_the_receiver_answers_whatever_comes_as_it_says(path: str, method: str, door: str) -> None:
    statuses = hold(RECEIVER, path, method, door, {}, CHECKS)
    assert statuses.keys() == ({202, 404} if method == "post" else {200})


@pytest.mark.parametrize(("status", "body"), [(500, {"code": 1, "message": ""}), (200, [{"status": 1}]), (418, {})])
def test_an_answer_that_no_document_tells_of_is_noticed(status: int, body: Any) -> None:
    async def answers(_request: Request) -> Response:
        return JSONResponse(body, status)

    app = Starlette(routes=[Route("/avatars", answers)])
    with serving(app) as url, pytest.raises(FailureGroup):
        hold(ARGIL, "/avatars", "get", url, {}, CHECKS)


def test_the_receiver_takes_any_body_with_the_right_token(door: str) -> None:
    with httpx.Client(base_url=door) as client:

        @seed(7)
        @settings(max_examples=EXAMPLES, deadline=None, database=None)
        @given(
            st.binary(max_size=200),
            st.text(st.characters(codec="latin-1", categories=["L", "N", "P"]), max_size=20),
        )
        def each(body: bytes, kind: str) -> None:
            answer = client.post(
                f"/webhooks/argil/{TOKEN}", content=body, headers=[(b"content-type", kind.encode("latin-1"))]
            )
            assert (answer.status_code, answer.content) == (202, b"")

        each()
