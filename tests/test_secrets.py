"""Secrets in unexpected errors, in process: Prefect stores none of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger

from flows.provision_avatar import provision_avatar
from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tests.secret_scanner import columns_with_secret, contains_secret

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api_url")]


@pytest.fixture(params=["in a task", "in the flow", "in a log record", "in the transport"])
def bug(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a task, the flow, a log call or the HTTP transport raise or log its arguments."""

    async def fail(_self: object, url: str, *_: Any, **__: Any) -> NoReturn:
        if request.param == "in a log record":
            get_run_logger().error("cannot read %s", [url])
            logging.getLogger("httpx").error("GET %s", url)
        if request.param == "in the transport":
            raise httpx.ConnectError(f"no connection to {url}", request=httpx.Request("GET", url))
        raise ValueError({"url": url, "key": "canary-api-key"})

    def fail_immediately(*_: object) -> NoReturn:
        raise KeyError("https://a.example/b?sig=canary")

    if request.param == "in the flow":
        monkeypatch.setattr("flows.engine.single_request.lease_owner_for_run", fail_immediately)
    else:
        monkeypatch.setattr("media.checker.MediaChecker.check", fail)
    kind: str = request.param
    return kind


async def run(videos: MediaHost, **changes: str) -> State:
    """Run the flow until it fails and return the state that Prefect stores."""
    request = {
        "name": "Ada",
        "dataset_video": f"{videos.url('dataset.mp4')}?X-Amz-Signature=canary%2Bsignature",
        "consent_video": f"{videos.url('consent.mp4')}?sv=1&sig=canary%2Fsignature",
        **changes,
    }
    state: State = await provision_avatar(request=request, wait="block", return_state=True)
    return state


async def api_responses(state: State) -> dict[str, Any]:
    """Return what Prefect's API returns about a run, without its declared parameters."""
    from deployments.embedded.prefect_session import flush_telemetry

    await asyncio.to_thread(flush_telemetry)
    run_id = str(state.state_details.flow_run_id)
    by_run = {"flow_runs": {"id": {"any_": [run_id]}}}
    async with get_client() as client:
        flow_run = (await client._client.get(f"/flow_runs/{run_id}")).json()
        del flow_run["parameters"]
        logs = {"logs": {"flow_run_id": {"any_": [run_id]}}, "limit": 200}
        return {
            "run": flow_run,
            "states": (await client._client.get("/flow_run_states/", params={"flow_run_id": run_id})).json(),
            "task runs": (await client._client.post("/task_runs/filter", json={**by_run, "limit": 200})).json(),
            "logs": (await client._client.post("/logs/filter", json=logs)).json(),
        }


async def test_unexpected_errors_are_reported_without_secrets(
    bug: str, simulated: ArgilSimulator, videos: MediaHost
) -> None:
    state = await run(videos)
    assert state.type in {"FAILED", "CRASHED"}
    responses = await api_responses(state)
    assert "Encountered exception" in str(responses["logs"])
    assert "?…" in str(responses)
    assert {name for name, response in responses.items() if contains_secret(str(response).encode())} == set()


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset_video": "https://ada:canary@a.example/b?sig=canary"},
        {"consent_video": "http://a.example/b?sig=canary"},
        {"name": "https://a.example/b?sig=canary"},
        {"nmae": "https://a.example/b?sig=canary"},
    ],
    ids=["user", "http", "name", "unknown"],
)
async def test_invalid_parameters_are_not_repeated(
    changes: dict[str, str], simulated: ArgilSimulator, videos: MediaHost, capfd: pytest.CaptureFixture[str]
) -> None:
    state = await run(videos, **changes)
    assert state.is_failed()
    responses = await api_responses(state)
    assert {name for name, response in responses.items() if contains_secret(str(response).encode())} == set()
    assert not contains_secret("".join(capfd.readouterr()).encode())


def test_prefect_database_has_secrets_in_parameters_only(clean_environment: Path) -> None:
    """The last test of this module: it also covers all runs that the server executed before."""
    home = clean_environment / "prefect"
    assert columns_with_secret(home / "prefect.db") <= {"flow_run.parameters"}
    with contextlib.suppress(FileNotFoundError):
        assert not contains_secret((home / "server.log").read_bytes())
