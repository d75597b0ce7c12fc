"""`avatars up` while Argil fails in several ways: few requests, room for new runs, and no duplicate."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

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
from tests.stack import RunningStack, wait_for

KEY = "canary-api-key"
IN_TRAINING = int(os.environ.get("AVATARS_TEST_IN_TRAINING", "40"))
"""200 in the long form."""
FAILURES = ("500", "429", "hang", "slow list", "refused")
SLOW_SECONDS = 8.0
TICKS_BEFORE_START = 3
"""Ticks of 4 s that may begin and end before a new run begins: 10 s on an idle machine."""

pytestmark = [pytest.mark.prefect, pytest.mark.system, pytest.mark.timeout(1800)]


class Gate:
    """An ASGI app in front of the simulator that lets requests fail, and records them."""

    relay: Relay
    """What connects to this app."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.failure = ""
        """What happens to requests; "refused" is that of the server itself."""
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


class Relay:
    """Forwards connections to a server; while it is closed, new ones are refused and open ones are cut."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or "", target.port or 0)
        self._port = 0
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        """Accept connections, at the same port as before."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)  # ends `accept` in the other thread
            self._listener.close()
            self._listener = None
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(self._target)
                for source, sink in ((client, server), (server, client)):
                    Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        self._open.add(source)
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        source.close()
        self._open.discard(source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
    with serve_in_thread(gate) as served, Relay(served) as relay:
        gate.relay, url = relay, relay.url
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


def moments(run: dict[str, Any], *names: str) -> list[datetime]:
    """Return times of a run, by the clock of the Prefect server."""
    return [datetime.fromisoformat(run[name]) for name in names]


def seconds_until_start(run: dict[str, Any]) -> float:
    created, started = moments(run, "created", "start_time")
    return (started - created).total_seconds()


def count_between(ticks: Sequence[dict[str, Any]], run: dict[str, Any]) -> int:
    """Return how many of the ticks began and ended between the creation and the start of a run."""
    created, started = moments(run, "created", "start_time")
    times = [moments(tick, "start_time", "end_time") for tick in ticks]
    return sum(created < tick_started and tick_ended < started for tick_started, tick_ended in times)


def test_outages_duplicate_nothing_and_leave_room(
    gate: Gate, account: SimulatedAccount, videos: MediaHost, tmp_path: Path
) -> None:
    """A new run waits for no tick: what it waits for is the next poll of the runner."""
    folder = tmp_path / ".avatars"
    folder.mkdir(mode=0o700)
    url = f"sqlite+aiosqlite:///{folder / 'avatars.db'}"
    avatar_ids = asyncio.run(start_trainings(url, os.environ["ARGIL_API_URL"]))
    with Stack(tmp_path) as up:

        def completed_ticks() -> list[dict[str, Any]]:
            return [run for run in up.api.runs_of("reconcile-avatars") if run["state_type"] == "COMPLETED"]

        def ticks() -> set[str]:
            return {run["id"] for run in completed_ticks()}

        for failure in FAILURES:
            gate.failure = failure
            if failure == "refused":
                gate.relay.close()
            known = ticks()
            gate.requests.clear()
            request = {
                "name": f"during {failure}",
                "dataset_video": videos.url("dataset.mp4"),
                "consent_video": videos.url("consent.mp4"),
            }
            run_id = up.api.create_run("provision-avatar/on-demand", {"request": request}).json()["id"]

            def begun_run(run_id: str = run_id) -> dict[str, Any] | None:
                run: dict[str, Any] = up.api.call("GET", f"/flow_runs/{run_id}").json()
                return run if run["start_time"] else None

            run = wait_for(begun_run, "the new run")
            print(f"{failure}: the new run began after {seconds_until_start(run):.1f} s")  # noqa: T201  # the figure
            assert count_between(completed_ticks(), run) <= TICKS_BEFORE_START
            wait_for(lambda known=known: len(ticks() - known) >= 2 or None, "two ticks")  # type: ignore[misc]  # a bound default
            polled = sum(gate.requests[avatar_id] for avatar_id in avatar_ids)
            if failure != "slow list":
                assert polled <= len(ticks() - known) + 1  # one poll per tick, beside its list
            gate.failure = ""
            if failure == "refused":
                gate.relay.open()

        def all_ready() -> bool | None:
            return all(up.status_of(f"training-{number}") == "READY" for number in range(IN_TRAINING)) or None

        wait_for(all_ready, "the trainings")
        names = Counter(avatar["name"] for avatar in account.avatars)
        assert max(names.values()) == 1, names
