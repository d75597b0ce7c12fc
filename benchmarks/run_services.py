"""The services that execute runs from the Prefect API: `avatars up`, and plain Prefect's `serve`."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from benchmarks.baselines.job import SERVED_DEPLOYMENT
from benchmarks.implementations import POLL_SECONDS
from benchmarks.process_tree import kill_all, process_tree
from benchmarks.simulator_process import SimulatorProcess
from deployments.embedded.prefect_connection import embedded_database_settings
from deployments.embedded.prefect_server import prefect_server

MAX_PROCESSES = 50
"""Concurrent runs of plain Prefect: each is a process of about 100 MB."""
START_TIMEOUT_SECONDS = 300.0
STOP_TIMEOUT_SECONDS = 120.0

Result = TypeVar("Result")


@dataclass(frozen=True)
class RunService:
    """A running service."""

    api_url: str
    deployment: str
    """FLOW/NAME of the deployment."""
    process_ids: Sequence[int]
    """Its processes are these and their descendants."""
    success: str
    """The name of the state of a run whose avatar is ready."""
    parameters: Callable[[int], dict[str, Any]]
    """The parameters of a run by its number."""


@dataclass(frozen=True)
class RunImplementation:
    """One way to execute runs."""

    name: str
    run: Callable[[SimulatorProcess, Path], AbstractContextManager[RunService]]


@contextlib.contextmanager
def _run_stack(simulator: SimulatorProcess, folder: Path) -> Iterator[RunService]:
    """Run `avatars up` with its webhook receiver registered."""
    dataset, consent = (
        next(url for url in simulator.videos if url.endswith(f"/{role}.mp4")) for role in ("dataset", "consent")
    )
    environment = {
        **simulator.settings,
        "HOME": str(folder),
        "AVATARS_WEBHOOK_TOKEN": secrets.token_urlsafe(),
        "AVATARS_WEBHOOK_PORT": "0",
        "PYTHONUNBUFFERED": "1",
    }
    args = [sys.executable, "-m", "cli", "up", "--port", "0"]
    with _run_until_exit(args, environment, folder / "up.txt") as (process, printed):
        printed(r"^(ready)")
        register = [sys.executable, "-m", "cli", "webhook", "register", "--url"]
        subprocess.run(
            [*register, printed(r"^webhooks +(http://[^/\s]+)")],
            env={**os.environ, **environment},
            check=True,
            capture_output=True,
        )

        def parameters(number: int) -> dict[str, Any]:
            return {"request": {"name": f"avatar {number}", "dataset_video": dataset, "consent_video": consent}}

        url = printed(r"^Prefect API +(\S+)")
        yield RunService(url, "provision-avatar/on-demand", [process.pid], "Ready", parameters)


@contextlib.contextmanager
def _run_serve(simulator: SimulatorProcess, folder: Path) -> Iterator[RunService]:
    """Run a Prefect server, and `serve` with MAX_PROCESSES."""
    home = folder / "prefect"
    with prefect_server(home, database=embedded_database_settings(home)) as server:
        environment = {
            **simulator.settings,
            "PREFECT_API_URL": server.url,
            "PREFECT_HOME": str(home),
            "BENCHMARK_COUNT": "1",
            "BENCHMARK_POLL_SECONDS": str(POLL_SECONDS),
            "BENCHMARK_FOLDER": str(folder),
            "PYTHONUNBUFFERED": "1",
        }
        args = [sys.executable, "-m", "benchmarks.baselines.prefect_serve", str(MAX_PROCESSES)]
        with _run_until_exit(args, environment, folder / "serve.txt") as (process, _):
            url = f"{server.url}/deployments/name/{SERVED_DEPLOYMENT}"
            _wait_for(lambda: httpx.get(url, trust_env=False).is_success or None, process, "the deployment")
            processes = [server.process.pid, process.pid]
            yield RunService(
                server.url, SERVED_DEPLOYMENT, processes, "Completed", lambda number: {"number": number}
            )


@contextlib.contextmanager
def _run_until_exit(
    args: Sequence[str], environment: dict[str, str], output: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[str], str]]]:
    """Run a command while the context is open; yield it and a function that waits for a pattern in its output."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            args, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )

    def printed(pattern: str) -> str:
        match = _wait_for(lambda: re.search(pattern, output.read_text(), re.MULTILINE), process, pattern)
        return match.group(1)

    try:
        yield process, printed
    finally:
        tree = process_tree([process.pid])  # before its end, after which the others have another parent
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_SECONDS)
        kill_all(tree)
        process.wait()


def _wait_for(condition: Callable[[], Result | None], process: subprocess.Popen[bytes], description: str) -> Result:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while (result := condition()) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} did not start: no {description}")
        time.sleep(0.1)
    return result


AVATARS_UP = RunImplementation("avatars up", _run_stack)
PREFECT_SERVE = RunImplementation(f"plain Prefect, serve(limit={MAX_PROCESSES})", _run_serve)
RUN_IMPLEMENTATIONS = (AVATARS_UP, PREFECT_SERVE)
