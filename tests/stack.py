"""Runs `avatars up --simulate` as a process, and calls the Prefect API as a client would."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import httpx
import pytest

from tests.cli_process import ended_by_hangup

WAIT_TIMEOUT_SECONDS = 180
POLL_SECONDS = 0.3
FINAL_STATE_TYPES = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
LISTED_KINDS = (
    "flow_runs",
    "task_runs",
    "logs",
    "artifacts",
    "artifacts/latest",
    "automations",
    "deployments",
    "block_documents",
    "variables",
    "flows",
    "work_pools",
    "v2/concurrency_limits",
)
"""The kinds of objects that Prefect's API lists with a filter, except for events."""

Result = TypeVar("Result")


def wait_for(
    condition: Callable[[], Result | None], description: str, timeout_seconds: float = WAIT_TIMEOUT_SECONDS
) -> Result:
    """Call the condition until it returns a result; the timeout only ends a failing test."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if (result := condition()) is not None:
            return result
        time.sleep(POLL_SECONDS)
    pytest.fail(f"timed out waiting for {description}")


class PrefectApi:
    """A client of the Prefect API that repeats requests while the server is busy."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30, transport=httpx.HTTPTransport(retries=3))

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        def send() -> httpx.Response | None:
            try:
                response = self._http.request(method, path, json=body)
            except httpx.TransportError:  # a busy server; runs are created with an idempotency key
                return None
            return None if response.status_code == 503 else response

        return wait_for(send, path)

    def deployment(self, name: str) -> str:
        deployment_id: str = self.call("GET", f"/deployments/name/{name}").json()["id"]
        return deployment_id

    def create_run(self, name: str, parameters: dict[str, Any], key: str | None = None) -> httpx.Response:
        body = {"parameters": parameters, "idempotency_key": key or uuid.uuid4().hex}
        return self.call("POST", f"/deployments/{self.deployment(name)}/create_flow_run", body)

    def states(self, run_id: str) -> list[dict[str, Any]]:
        states: list[dict[str, Any]] = self.call("GET", f"/flow_run_states/?flow_run_id={run_id}").json()
        return sorted(states, key=lambda state: str(state["timestamp"]))

    def wait_for_final_state(self, run_id: str, timeout_seconds: float = WAIT_TIMEOUT_SECONDS) -> dict[str, Any]:
        def final_state() -> dict[str, Any] | None:
            state: dict[str, Any] = self.call("GET", f"/flow_runs/{run_id}").json()["state"]
            return state if state["type"] in FINAL_STATE_TYPES else None

        return wait_for(final_state, f"the final state of run {run_id}", timeout_seconds)

    def read_everything(self) -> dict[str, str]:
        """Return every object that the API lists, page by page."""
        pages: dict[str, str] = {}
        for kind in LISTED_KINDS:
            offset, size = 0, 200
            while page := self.call("POST", f"/{kind}/filter", {"limit": size, "offset": offset}).json():
                pages |= {f"{kind} {item.get('id')}": str(item) for item in page}
                offset += size
        return pages | {f"event {event['id']}": str(event) for event in self.iter_events()}

    def iter_events(self) -> Iterator[dict[str, Any]]:
        page = self.call("POST", "/events/filter", {"limit": 50}).json()
        while page["events"]:
            yield from page["events"]
            if not page["next_page"]:
                break
            page = self.call("GET", page["next_page"].partition("/api")[2]).json()

    def wait_for_stored_events(self) -> None:
        """Wait until the server has stored each event that it received before this call.

        Prefect's event persister writes events in the order of their arrival, and up to 5 s later
        (PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL). So the last one is sent here.
        """
        last = {
            "id": str(uuid.uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": "test.last-event",
            "resource": {"prefect.resource.id": "test.last-event"},
        }
        assert self.call("POST", "/events", [last]).status_code == httpx.codes.NO_CONTENT
        query = {"filter": {"id": {"id": [last["id"]]}}}
        wait_for(lambda: self.call("POST", "/events/filter", query).json()["events"] or None, "the last event")

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Delete flow runs, and wait for their logs: the server deletes those in the background."""
        codes = {self.call("DELETE", f"/flow_runs/{run_id}").status_code for run_id in run_ids}
        assert codes == {httpx.codes.NO_CONTENT}
        query = {"logs": {"flow_run_id": {"any_": [*run_ids]}}}
        wait_for(lambda: self.call("POST", "/logs/filter", query).json() == [] or None, "the deletion of logs")

    def runs_of(self, flow: str) -> list[dict[str, Any]]:
        body = {"flows": {"name": {"any_": [flow]}}, "limit": 200}
        runs: list[dict[str, Any]] = self.call("POST", "/flow_runs/filter", body).json()
        return runs


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class RunningStack:
    """A running `avatars up --simulate`, its home directory and its output. A `with` block ends it."""

    configured: ClassVar[Mapping[str, str]] = {
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "AVATARS_DATABASE_URL": "sqlite+aiosqlite:////dev/null/real.db",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    """What the machine is configured for; a simulated stack must not use it."""
    excluded_environment: ClassVar[Set[str]] = {"PREFECT_API_URL", "SSL_CERT_FILE"}
    token: ClassVar[str] = uuid.uuid4().hex
    training_seconds: ClassVar[int] = 5
    fast_settings: ClassVar[Mapping[str, str]] = {
        "AVATARS_RECONCILE_INTERVAL_SECONDS": "4",
        "AVATARS_PENDING_INTERVAL_SECONDS": "4",
        "AVATARS_POLL_MIN_SECONDS": "0.2",
    }

    def __init__(self, home: Path) -> None:
        inherited = {name: value for name, value in os.environ.items() if name not in self.excluded_environment}
        self.home = home
        self.environment = {
            **inherited,
            "HOME": str(home),
            "SECRET_OF_OTHERS": "not for our processes",
            **self.fast_settings,
            "AVATARS_WEBHOOK_TOKEN": self.token,
            "AVATARS_WEBHOOK_PORT": str(free_port()),  # of a stack that does not simulate
        }
        args = [sys.executable, "-m", "cli", "up", "--port", "0", *self.args()]
        self.log = (home / "up.log").open("w+")
        environment = {**self.environment, **self.configured}
        with ended_by_hangup():
            self.process = subprocess.Popen(args, env=environment, stdout=self.log, stderr=self.log, text=True)
        try:
            wait_for(lambda: self.printed(r"^(ready)") or None, "avatars up")
        except BaseException:
            self.process.terminate()
            raise
        self.api = PrefectApi(self.printed(r"^Prefect API +(\S+)"))
        self.environment["PREFECT_API_URL"] = self.printed(r"^Prefect API +(\S+)")
        self.receiver = self.printed(r"^webhooks +(http://[^/\s]+)")
        self.dataset = self.printed(r"(https://\S+/dataset\.mp4)")
        self.consent = self.printed(r"(https://\S+/consent\.mp4)")
        self.image = self.printed(r"^sample image +(\S+)")
        self.voice_sample = self.printed(r"^sample voice +(\S+)")

    def args(self) -> list[str]:
        """Return further arguments of the command."""
        return [
            "--simulate",
            "--training-seconds",
            str(self.training_seconds),
            "--data-dir",
            str(self.home / ".avatars"),
        ]

    def printed(self, pattern: str) -> str:
        assert self.process.poll() is None, (self.home / "up.log").read_text()
        match = re.search(pattern, (self.home / "up.log").read_text(), re.MULTILINE)
        return match.group(1) if match else ""

    def request(self, name: str, **fields: Any) -> dict[str, Any]:
        return {"name": name, "dataset_video": self.dataset, "consent_video": self.consent, **fields}

    def avatars(self, *args: str) -> Any:
        completed = subprocess.run(
            [sys.executable, "-m", "cli", *args, "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=WAIT_TIMEOUT_SECONDS,
            check=True,
        )
        return json.loads(completed.stdout)

    def status_of(self, key: str) -> str | None:
        """Return the status of a provisioning in the ledger; None if it is not recorded yet."""
        with contextlib.closing(sqlite3.connect(self.home / ".avatars/avatars.db", timeout=30)) as ledger:
            query = "SELECT status FROM provisionings WHERE reference = ? OR id = ?"
            row = ledger.execute(query, (key, key)).fetchone()
        return row[0] if row else None

    def process_ids(self) -> list[int]:
        """Return the ids of the processes in the process groups of the server, the runner and the receiver."""
        processes = subprocess.run(
            ["ps", "-eo", "pid=,pgid=,ppid="], capture_output=True, text=True, check=True
        ).stdout
        rows = [tuple(map(int, line.split())) for line in processes.splitlines()]
        groups = {pid for pid, _, parent in rows if parent == self.process.pid}
        return [pid for pid, group, _ in rows if group in groups]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(WAIT_TIMEOUT_SECONDS)
        self.close()
        return code

    def close(self) -> None:
        """Close the API client and the log of a stack that has ended."""
        self.api.close()
        self.log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()
