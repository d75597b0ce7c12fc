"""`avatars up` while Argil fails in several ways: few requests, room for new runs, and no duplicate."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any, ClassVar

import pytest
from starlette.responses import Response

from clients.argil import ArgilClient
from models.clock import SystemClock
from models.provisioning import Status
from simulator.account import SimulatedAccount
from simulator.argil_app import create_app
from simulator.media_host import MediaHost
from simulator.scenarios import Timing
from simulator.uvicorn_thread import serve_in_thread
from store import migrate
from store.database import Database
from store.ledger import Ledger
from tests.chaos.test_race import DeadWorkers, OrphanSpec
from tests.stack import FINAL_STATE_TYPES, RunningStack, wait_for

KEY = "canary-api-key"
IN_TRAINING = int(os.environ.get("AVATARS_TEST_IN_TRAINING", "40"))
"""200 in the long form."""
BEGIN_LIMIT_SECONDS = 60.0
"""A new run begins at the next poll of the runner, on an idle machine within 10 seconds."""
FAILURES = ("500", "429", "hang", "slow list")
SLOW_SECONDS = 8.0

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(1800)]


class Gate:
    """An ASGI app in front of the simulator that lets requests fail, and records them."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.failure = ""
        self.requests: Counter[str] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        is_list = scope["method"] == "GET" and path.endswith("/avatars")
        if scope["method"] == "GET":
            self.requests["list" if is_list else path.rpartition("/")[2]] += 1
        match self.failure:
            case "500" | "429":
                await Response(status_code=int(self.failure))(scope, receive, send)
            case "hang":
                await asyncio.sleep(3600)
            case "slow list" if is_list:
                await asyncio.sleep(SLOW_SECONDS)
                await self._app(scope, receive, send)
            case _:
                await self._app(scope, receive, send)


class Stack(RunningStack):
    """`avatars up` against the gate."""

    configured: ClassVar[Mapping[str, str]] = {}
    excluded_environment: ClassVar[Set[str]] = {"PREFECT_API_URL"}

    def args(self) -> list[str]:
        return []


@pytest.fixture
def account() -> SimulatedAccount:
    return SimulatedAccount(Timing(training_seconds=30.0))


@pytest.fixture
def gate(account: SimulatedAccount, videos: MediaHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(create_app(account, api_key=KEY))
    with serve_in_thread(gate) as url:
        for name, value in {
            "ARGIL_API_URL": f"{url}/v1",
            "ARGIL_API_KEY": KEY,
            "AVATARS_MEDIA_ALLOWED_HOSTS": "127.0.0.1",
            "AVATARS_LOOKUP_GRACE_SECONDS": "5",
            "SSL_CERT_FILE": str(videos.ca_file),
        }.items():
            monkeypatch.setenv(name, value)
        yield gate


async def start_trainings(database_url: str, api_url: str) -> list[str]:
    """Record trainings without a run, as batches leave them; return the ids of their avatars."""
    database = Database(database_url)
    await migrate.upgrade(database)
    async with ArgilClient(api_url, KEY, clock=SystemClock(), requests_per_second=1e6) as client:
        workers = DeadWorkers(database, client)
        for number in range(IN_TRAINING):
            await workers.orphan(f"training-{number}", OrphanSpec(1, "training", sent=True))
    page = await Ledger(database, SystemClock()).list_latest(Status.TRAINING, IN_TRAINING)
    await database.close()
    return [item.avatar_id or "" for item in page]


def test_outages_duplicate_nothing_and_leave_room(
    gate: Gate, account: SimulatedAccount, videos: MediaHost, tmp_path: Path
) -> None:
    folder = tmp_path / ".avatars"
    folder.mkdir(mode=0o700)
    url = f"sqlite+aiosqlite:///{folder / 'avatars.db'}"
    avatar_ids = asyncio.run(start_trainings(url, os.environ["ARGIL_API_URL"]))
    with Stack(tmp_path) as up:

        def ticks() -> set[str]:
            return {run["id"] for run in up.api.runs_of("reconcile-avatars") if run["state_type"] == "COMPLETED"}

        for failure in FAILURES:
            gate.failure = failure
            known = ticks()
            gate.requests.clear()
            request = {
                "name": f"during {failure}",
                "dataset_video": videos.url("dataset.mp4"),
                "consent_video": videos.url("consent.mp4"),
            }
            run_id = up.api.create_run("provision-avatar/on-demand", {"request": request}).json()["id"]

            def has_begun(run_id: str = run_id) -> bool | None:
                state = up.api.call("GET", f"/flow_runs/{run_id}").json()["state"]["type"]
                return state in {"RUNNING", "PAUSED", *FINAL_STATE_TYPES} or None

            wait_for(has_begun, "the new run", BEGIN_LIMIT_SECONDS)
            wait_for(lambda known=known: len(ticks() - known) >= 2 or None, "two ticks")  # type: ignore[misc]  # a bound default
            polled = sum(gate.requests[avatar_id] for avatar_id in avatar_ids)
            if failure != "slow list":
                assert polled <= len(ticks() - known) + 1  # one poll per tick, beside its list
            gate.failure = ""

        def all_ready() -> bool | None:
            return all(up.status_of(f"training-{number}") == "READY" for number in range(IN_TRAINING)) or None

        wait_for(all_ready, "the trainings")
        names = Counter(avatar["name"] for avatar in account.avatars)
        assert max(names.values()) == 1, names
