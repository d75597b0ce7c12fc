"""Runs Schemathesis against our servers: the simulator by Argil's OpenAPI document, the receiver by its own.

Valid and invalid requests are drawn from the documents and sent to real sockets.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.webhooks.limits import DEFAULT_LIMITS
from deployments.webhooks.receiver import Receiver, serve_receiver
from simulator.server import ArgilSimulator, run_argil
from simulator.uvicorn_thread import serve_in_thread
from store import migrate
from store.database import Database
from store.webhook_deliveries import WebhookDeliveryRepository
from tests.fakes import FakeClock

EXAMPLES = 500 if os.environ.get("AVATARS_FUZZ") == "long" else 15
TOKEN = "canary-token-0123456789"
CONTRACTS = Path(__file__).parents[1] / "third_party"
ARGIL = yaml.safe_load((CONTRACTS / "argil-openapi.yaml").read_text())
ARGIL_CURRENT = yaml.safe_load((CONTRACTS / "argil-current-openapi.yaml").read_text())
_TEXT = {"description": "not found", "content": {"text/plain": {"schema": {"type": "string"}}}}
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
                "responses": {"202": {"description": "accepted"}, "404": _TEXT},
            }
        },
        "/health": {"get": {"responses": {"200": {"description": "healthy", "content": {"application/json": {}}}}}},
    },
}

pytestmark = pytest.mark.timeout(1800)


def operations(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the paths and methods of an OpenAPI document."""
    methods = {"get", "post", "put", "delete"}
    return [(path, method) for path, item in document["paths"].items() for method in item if method in methods]


def check_operation(
    document: dict[str, Any],
    path: str,
    method: str,
    url: str,
    headers: dict[str, str],
    *,
    rejects_invalid: bool = False,
) -> Counter[int]:
    """Send valid and invalid requests, check every response against the document, and count the statuses."""
    # It takes seconds to import, and each process of `make test` imports this file.
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    expected: list[Any] = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        *([checks.negative_data_rejection] if rejects_invalid else []),
    ]
    operation = schemathesis.openapi.from_dict(document)[path][method.upper()]
    valid = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    statuses = Counter[int]()
    invalid = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @seed(7)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(has_token=st.booleans(), case=valid | invalid if method in {"post", "put"} or "{" in path else valid)
    def send(*, has_token: bool, case: Any) -> None:
        if has_token and "{token}" in path:
            case.path_parameters = {"token": TOKEN}
        statuses[case.call_and_validate(base_url=url, headers=headers, checks=expected).status_code] += 1

    send()
    return statuses


@pytest.fixture(scope="module")
def argil() -> Iterator[ArgilSimulator]:
    with run_argil() as running:
        yield running


@pytest.mark.parametrize(("path", "method"), operations(ARGIL))
@pytest.mark.parametrize("has_key", [True, False])
def test_simulator_conforms_to_the_argil_openapi(
    path: str, method: str, argil: ArgilSimulator, *, has_key: bool
) -> None:
    headers = {"x-api-key": argil.api_key if has_key else "wrong"}
    statuses = check_operation(ARGIL, path, method, argil.api_url, headers, rejects_invalid=True)
    if not has_key:
        # An id with a slash does not match any route.
        assert statuses.keys() <= ({401, 404} if "{id}" in path else {401})
        assert statuses[401]
    elif method == "post":
        assert statuses.keys() >= {201, 400}, "valid and invalid requests were drawn"


@pytest.mark.parametrize(("path", "method"), operations(ARGIL_CURRENT))
def test_simulator_conforms_to_the_current_reference(path: str, method: str, argil: ArgilSimulator) -> None:
    statuses = check_operation(ARGIL_CURRENT, path, method, argil.api_url, {"x-api-key": argil.api_key})
    if method == "post":
        assert statuses.keys() >= {201, 400}, "valid and invalid requests were drawn"


@pytest.fixture(scope="module")
def receiver_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a receiver with a real ledger, on an event loop of its own."""
    ready, stop = threading.Event(), asyncio.Event()
    urls: list[str] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        database = Database(f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('receiver') / 'ledger.db'}")
        await migrate.upgrade(database)
        deliveries = WebhookDeliveryRepository(database, FakeClock())
        limits = replace(DEFAULT_LIMITS, request_burst=10**6)
        receiver = Receiver(TOKEN, deliveries, FakeClock(), limits)
        async with serve_receiver(receiver, socket.create_server(("127.0.0.1", 0))) as url:
            urls.append(url)
            ready.set()
            await stop.wait()
        await database.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    yield urls[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.mark.parametrize(("path", "method"), operations(RECEIVER))
def test_receiver_conforms_to_its_openapi(path: str, method: str, receiver_url: str) -> None:
    statuses = check_operation(RECEIVER, path, method, receiver_url, {})
    assert statuses.keys() == ({202, 404} if method == "post" else {200})


@pytest.mark.parametrize(("status", "body"), [(500, {"code": 1, "message": ""}), (200, [{"status": 1}]), (418, {})])
def test_undocumented_response_fails_the_check(status: int, body: Any) -> None:
    from schemathesis.core.failures import FailureGroup

    async def endpoint(_request: Request) -> Response:
        return JSONResponse(body, status)

    app = Starlette(routes=[Route("/avatars", endpoint)])
    with serve_in_thread(app) as url, pytest.raises(FailureGroup):
        check_operation(ARGIL, "/avatars", "get", url, {})


def test_receiver_accepts_any_body_with_the_token(receiver_url: str) -> None:
    with httpx.Client(base_url=receiver_url) as client:

        @seed(7)
        @settings(max_examples=EXAMPLES, deadline=None, database=None)
        @given(
            st.binary(max_size=200),
            st.text(st.characters(codec="latin-1", categories=["L", "N", "P"]), max_size=20),
        )
        def send(body: bytes, content_type: str) -> None:
            response = client.post(
                f"/webhooks/argil/{TOKEN}",
                content=body,
                headers=[(b"content-type", content_type.encode("latin-1"))],
            )
            assert (response.status_code, response.content) == (202, b"")

        send()
