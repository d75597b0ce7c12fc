"""Prefect's server behind RequestGuard, as `avatars up` and the other commands run it."""

from __future__ import annotations

import contextlib
import json
import uuid
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ["http://127.0.0.1:4200", "http://localhost:4200"]),
        (
            {"PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": "https://a.example, https://b.example"},
            ["http://127.0.0.1:4200", "http://localhost:4200", "https://a.example", "https://b.example"],
        ),
        (
            {"PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "https://a.example"},
            ["http://127.0.0.1:4200", "http://localhost:4200", "https://a.example"],
        ),
        ({"PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": "https://a.example,*"}, ["*"]),
        ({"PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": ""}, ["http://127.0.0.1:4200", "http://localhost:4200"]),
    ],
)
def test_origins_are_its_own_and_the_configured_ones(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: list[str]
) -> None:
    from prefect.settings import Settings

    from deployments.embedded.server_process import allowed_origins

    for name in ("PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS", "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert allowed_origins(Settings(), 4200) == expected


def test_origins_are_also_read_from_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from prefect.settings import Settings

    from deployments.embedded.server_process import allowed_origins

    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS=https://a.example\n")
    assert allowed_origins(Settings(), 4200)[-1] == "https://a.example"


@pytest.fixture
def deployment(prefect_api_url: str) -> str:
    """The URL of a deployment that takes any parameters."""
    flow = httpx.post(f"{prefect_api_url}/flows/", json={"name": "guarded"}, timeout=100).json()["id"]
    body = {"name": f"guarded-{uuid.uuid4().hex}", "flow_id": flow}
    created = httpx.post(f"{prefect_api_url}/deployments/", json=body, timeout=100).json()
    return f"{prefect_api_url}/deployments/{created['id']}"


def create_run(deployment: str, parameters: object, **headers: str) -> httpx.Response:
    body = json.dumps({"parameters": {"name": parameters}})
    return httpx.post(f"{deployment}/create_flow_run", content=body, headers=headers, timeout=100)


@pytest.mark.prefect
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example:4711"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1", "Content-Type": "text/plain"}, 403),
    ],
    ids=str,
)
def test_foreign_page_neither_reads_nor_changes(deployment: str, headers: dict[str, str], status: int) -> None:
    api_url = deployment.partition("/deployments/")[0]
    secrets = httpx.post(f"{api_url}/block_documents/filter", json={"include_secrets": True}, headers=headers)
    paused = httpx.post(f"{deployment}/pause_deployment", headers=headers)
    created = create_run(deployment, "Eve", **headers)
    preflight = httpx.options(f"{deployment}/create_flow_run", headers=headers)
    assert {response.status_code for response in (secrets, paused, created, preflight)} == {status}
    assert "access-control-allow-origin" not in preflight.headers
    assert not httpx.get(deployment).json()["paused"]


@pytest.mark.prefect
def test_own_ui_and_clients_are_served(deployment: str) -> None:
    api_url = deployment.partition("/deployments/")[0]
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    page = httpx.get(api_url.removesuffix("/api"), headers=link, follow_redirects=True, timeout=100)
    assert (page.status_code, page.url.path) == (200, "/v2/")
    for host in ("127.0.0.1", "localhost"):
        origin = api_url.removesuffix("/api").replace("127.0.0.1", host)
        preflight = httpx.options(
            f"{deployment}/create_flow_run", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
        )
        assert preflight.headers["access-control-allow-origin"] == origin
        assert create_run(deployment, "Ada", Origin=origin).status_code == 201


@pytest.mark.prefect
@pytest.mark.parametrize(
    "value",
    [
        "half \ud800 x",
        {"rows": [{"\udfff": 1}]},
        float("nan"),
        "a\0b",
        {"__prefect_kind": "json", "value": '"\\ud800"'},
        {"__prefect_kind": "json", "value": {"__prefect_kind": "none", "value": '"\\ud800"'}},
    ],
    ids=ascii,
)
def test_unstorable_parameters_create_no_run(deployment: str, value: object) -> None:
    assert create_run(deployment, value).status_code == 400
    assert runs_of(deployment) == []


@pytest.mark.prefect
def test_unstorable_variable_creates_no_run(deployment: str) -> None:
    """Prefect's server itself parses the JSON text in the variable."""
    variable = f"v{uuid.uuid4().hex}"
    api_url = deployment.partition("/deployments/")[0]
    body = {"name": variable, "value": '"\\ud800"'}
    assert httpx.post(f"{api_url}/variables/", json=body).status_code == 201
    reference = {"__prefect_kind": "workspace_variable", "variable_name": variable}
    response = create_run(deployment, {"__prefect_kind": "json", "value": reference})
    assert response.status_code == 500
    assert runs_of(deployment) == []


def runs_of(deployment: str) -> object:
    api_url, _, deployment_id = deployment.partition("/deployments/")
    body = {"deployments": {"id": {"any_": [deployment_id]}}}
    return httpx.post(f"{api_url}/flow_runs/filter", json=body, timeout=100).raise_for_status().json()


@pytest.mark.prefect
def test_foreign_page_cannot_listen_or_send_events(prefect_api_url: str) -> None:
    for path in ("/events/out", "/events/in", "/logs/out"):
        url = prefect_api_url.replace("http://", "ws://") + path
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(url, origin=Origin("https://evil.example"), proxy=None),
        ):
            pass
        assert refused.value.response.status_code == 403


@pytest.mark.prefect
def test_unstorable_event_ends_the_websocket(prefect_api_url: str) -> None:
    own_origin = prefect_api_url.removesuffix("/api")
    url = prefect_api_url.replace("http://", "ws://") + "/events/in"
    with connect(url, origin=Origin(own_origin), subprotocols=[Subprotocol("prefect")], proxy=None) as events:
        events.send(json.dumps({"type": "auth", "token": None}))
        assert json.loads(events.recv(timeout=100)) == {"type": "auth_success"}
        event = {"event": "avatar.\ud800", "resource": {"prefect.resource.id": "x"}}
        events.send(json.dumps(event))
        with pytest.raises(ConnectionClosed) as closed:
            events.recv(timeout=100)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1007


@pytest.mark.prefect
def test_more_idle_websockets_than_requests_block_no_request(prefect_api_url: str) -> None:
    """Prefect's own limit of 100 concurrent requests also counts WebSockets."""
    with contextlib.ExitStack() as sockets:
        for _ in range(110):
            sockets.enter_context(connect(f"ws{prefect_api_url.removeprefix('http')}/events/out"))
        assert httpx.get(f"{prefect_api_url}/version", timeout=100).status_code == 200


@pytest.mark.system
def test_api_reference_is_generated_once() -> None:
    """It needs no password, and takes seconds of the only event loop."""
    from deployments.embedded.server_process import create_prefect_app

    app = create_prefect_app([])
    assert app.openapi() is app.openapi()
