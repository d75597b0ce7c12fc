"""A running `avatars up --simulate`, and Prefect's API as a caller uses it."""

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
from collections.abc import Callable, Mapping, Set
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import httpx
import pytest

PATIENCE_SECONDS = 180
LOOK_SECONDS = 0.3
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

Answer = TypeVar("Answer")


def until(what: Callable[[], Answer | None], told: str, patience_seconds: float = PATIENCE_SECONDS) -> Answer:
    """Ask until there is an answer; the deadline bounds a failure, it measures nothing."""
    give_up_at = time.monotonic() + patience_seconds
    while time.monotonic() < give_up_at:
        if (answer := what()) is not None:
            return answer
        time.sleep(LOOK_SECONDS)
    pytest.fail(f"waited in vain: {told}")


class Api:
    """Prefect's API as a caller uses it; what a busy server leaves without an answer is asked again."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30, transport=httpx.HTTPTransport(retries=3))

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        def ask() -> httpx.Response | None:
            try:
                response = self._http.request(method, path, json=body)
            except httpx.TransportError:  # a busy server; run creation has its idempotency key
                return None
            return None if response.status_code == 503 else response

        return until(ask, path)

    def deployment(self, name: str) -> str:
        found: str = self.call("GET", f"/deployments/name/{name}").json()["id"]
        return found

    def create_run(self, name: str, parameters: dict[str, Any], key: str | None = None) -> httpx.Response:
        body = {"parameters": parameters, "idempotency_key": key or uuid.uuid4().hex}
        return self.call("POST", f"/deployments/{self.deployment(name)}/create_flow_run", body)

    def states(self, run_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", f"/flow_run_states/?flow_run_id={run_id}").json()
        return sorted(found, key=lambda state: str(state["timestamp"]))

    def end_of(self, run_id: str) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            state: dict[str, Any] = self.call("GET", f"/flow_runs/{run_id}").json()["state"]
            return state if state["type"] in ENDED else None

        return until(ended, f"the end of run {run_id}")

    def runs_of(self, flow: str) -> list[dict[str, Any]]:
        body = {"flows": {"name": {"any_": [flow]}}, "limit": 200}
        found: list[dict[str, Any]] = self.call("POST", "/flow_runs/filter", body).json()
        return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Up:
    """A running `avatars up --simulate`, its home and what it printed."""

    kept_from_it: ClassVar[Set[str]] = {"PREFECT_API_URL", "SSL_CERT_FILE"}
    token: ClassVar[str] = uuid.uuid4().hex
    training_seconds: ClassVar[int] = 5
    hurry: ClassVar[Mapping[str, str]] = {
        "AVATARS_RECONCILE_SECONDS": "4",
        "AVATARS_PENDING_SECONDS": "4",
        "AVATARS_POLL_FLOOR_SECONDS": "0.2",
    }

    def __init__(self, home: Path) -> None:
        own = {name: value for name, value in os.environ.items() if name not in self.kept_from_it}
        self.home = home
        self.environment = {
            **own,
            "HOME": str(home),
            **self.hurry,
            "AVATARS_WEBHOOK_TOKEN": self.token,
            "AVATARS_WEBHOOK_PORT": str(free_port()),
        }
        words = [sys.executable, "-m", "cli", "up", "--port", "0", *self.words()]
        self.log = (home / "up.log").open("w+")
        self.process = subprocess.Popen(words, env=self.environment, stdout=self.log, stderr=self.log, text=True)
        until(lambda: self.printed(r"^(ready)") or None, "avatars up")
        self.api = Api(self.printed(r"^Prefect API +(\S+)"))
        self.environment["PREFECT_API_URL"] = self.printed(r"^Prefect API +(\S+)")
        self.dataset = self.printed(r"(https://\S+/dataset\.mp4)")
        self.consent = self.printed(r"(https://\S+/consent\.mp4)")

    def words(self) -> list[str]:
        """Say what the command is given besides."""
        return [
            "--simulate",
            "--training-seconds",
            str(self.training_seconds),
            "--home",
            str(self.home / ".avatars"),
        ]

    def printed(self, pattern: str) -> str:
        assert self.process.poll() is None, (self.home / "up.log").read_text()
        found = re.search(pattern, (self.home / "up.log").read_text(), re.MULTILINE)
        return found.group(1) if found else ""

    def request(self, name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "dataset_video": self.dataset, "consent_video": self.consent, **more}

    def avatars(self, *words: str) -> Any:
        ran = subprocess.run(
            [sys.executable, "-m", "cli", *words, "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
        return json.loads(ran.stdout)

    def status_of(self, key: str) -> str | None:
        """Where the ledger says that a provisioning stands; None: it does not know it yet."""
        with contextlib.closing(sqlite3.connect(self.home / ".avatars/avatars.db", timeout=30)) as ledger:
            query = "SELECT status FROM provisionings WHERE reference = ? OR id = ?"
            found = ledger.execute(query, (key, key)).fetchone()
        return found[0] if found else None

    def family(self) -> list[int]:
        """The processes of the stack: its server's and its runner's process groups."""
        listed = subprocess.run(
            ["ps", "-eo", "pid=,pgid=,ppid="], capture_output=True, text=True, check=True
        ).stdout
        rows = [tuple(map(int, line.split())) for line in listed.splitlines()]
        groups = {pid for pid, _, parent in rows if parent == self.process.pid}
        return [pid for pid, group, _ in rows if group in groups]

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_SECONDS)
        self.forget()
        return code

    def forget(self) -> None:
        """Close what is open to a stack that has ended."""
        self.api.close()
        self.log.close()
