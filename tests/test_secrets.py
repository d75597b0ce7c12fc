"""A key and presigned queries pushed through what nobody expects, in process: Prefect keeps none of it."""

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
from tests.secrets_search import columns_with_it, holds_it

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect_api_url")]


@pytest.fixture(params=["in a task", "in the flow", "that logs", "of the transport"])
def bug(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Code of ours that raises, or logs, what it was given."""

    async def fail(_self: object, url: str, *_: Any, **__: Any) -> NoReturn:
        if request.param == "that logs":
            get_run_logger().error("cannot read %s", [url])
            logging.getLogger("httpx").error("GET %s", url)
        if request.param == "of the transport":
            raise httpx.ConnectError(f"no connection to {url}", request=httpx.Request("GET", url))
        raise ValueError({"url": url, "key": "canary-api-key"})

    def fail_at_once(*_: object) -> NoReturn:
        raise KeyError("https://a.example/b?sig=canary")

    if request.param == "in the flow":
        monkeypatch.setattr("flows.provision_avatar.driver", fail_at_once)
    else:
        monkeypatch.setattr("clients.media_probe.MediaChecker.check", fail)
    told: str = request.param
    return told


async def run(videos: MediaHost, **changes: str) -> State:
    """Run the flow to its failure; returns the state that Prefect keeps."""
    request = {
        "name": "Ada",
        "dataset_video": f"{videos.url('dataset.mp4')}?X-Amz-Signature=canary%2Bsignature",
        "consent_video": f"{videos.url('consent.mp4')}?sv=1&sig=canary%2Fsignature",
        **changes,
    }
    state: State = await provision_avatar(request=request, wait="hold", return_state=True)
    return state


async def told_by_the_api(state: State) -> dict[str, Any]:
    """What Prefect's API tells of a run, its declared parameters left out."""
    from deployments.prefect_api import send_what_waits

    await asyncio.to_thread(send_what_waits)
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


async def test_what_nobody_expected_is_told_without_secrets(
    bug: str, simulated: ArgilSimulator, videos: MediaHost
) -> None:
    state = await run(videos)
    assert state.type in {"FAILED", "CRASHED"}
    told = await told_by_the_api(state)
    assert "Encountered exception" in str(told["logs"])
    assert "?…" in str(told)
    assert {where for where, answer in told.items() if holds_it(str(answer).encode())} == set()


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
async def test_parameters_that_break_a_rule_are_not_repeated(
    changes: dict[str, str], simulated: ArgilSimulator, videos: MediaHost, capfd: pytest.CaptureFixture[str]
) -> None:
    state = await run(videos, **changes)
    assert state.is_failed()
    told = await told_by_the_api(state)
    assert {where for where, answer in told.items() if holds_it(str(answer).encode())} == set()
    assert not holds_it("".join(capfd.readouterr()).encode())


def test_prefects_database_holds_them_in_parameters_alone(clean_environment: Path) -> None:
    """The last test of this module; whatever ran at this server before is looked at as well."""
    home = clean_environment / "prefect"
    assert columns_with_it(home / "prefect.db") <= {"flow_run.parameters"}
    with contextlib.suppress(FileNotFoundError):
        assert not holds_it((home / "server.log").read_bytes())
