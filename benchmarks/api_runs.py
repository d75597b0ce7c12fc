"""Starts runs over the Prefect API within a minute, and waits until all of them have ended."""

from __future__ import annotations

import math
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.process_tree import sampled_memory
from benchmarks.run_services import RunImplementation, RunService
from benchmarks.simulator_process import run_simulator

RUNS = (50, 300)
RUNS_PER_SECOND = 5.0
"""300 within a minute."""
TRAINING_SECONDS = 40.0
POLL_SECONDS = 2.0
RETRY_SECONDS = 0.5
REQUEST_THREADS = 8
FINAL_STATE_TYPES = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]


@dataclass(frozen=True)
class ApiRunsMeasurement:
    """The runs of one implementation; `completed` is False if the time limit ended them."""

    implementation: str
    runs: int
    accepted_seconds: float
    """From the first request to the response to the last one."""
    ended_seconds: float
    """From the first request to the end of the last run."""
    peak_megabytes: float
    """Of all processes of the service, while runs were requested and executed."""
    requests: int
    """Requests at Argil."""
    completed: bool


def measure(implementation: RunImplementation, runs: int, *, limit_seconds: float) -> ApiRunsMeasurement:
    """Execute the runs on a new service with a new simulator. Processes may use all cores.

    Raises:
        RuntimeError: The service did not start, or a run did not end with a trained avatar.
    """
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as name,
        run_simulator(TRAINING_SECONDS, Path(name)) as simulator,
        implementation.run(simulator, Path(name)) as service,
        httpx.Client(base_url=service.api_url, timeout=60, trust_env=False) as http,
        sampled_memory(service.process_ids) as memory,
    ):
        before = sum(simulator.requests().values())
        started_at = time.monotonic()
        api = _PrefectApi(http, service, started_at + limit_seconds)
        accepted, completed = math.nan, True
        try:
            api.create_runs(runs)
            accepted = time.monotonic() - started_at
            while api.count({"type": {"any_": FINAL_STATE_TYPES}}) < runs:
                time.sleep(POLL_SECONDS)
        except TimeoutError:
            completed = False
        wall = time.monotonic() - started_at
        requests = sum(simulator.requests().values()) - before
        if completed:
            ready = api.count({"name": {"any_": [service.success]}})
            if (ready, len(simulator.completion_times())) != (runs, runs):
                raise RuntimeError(f"{implementation.name}: {ready} of {runs} runs ended with a trained avatar")
    return ApiRunsMeasurement(implementation.name, runs, accepted, wall, memory.megabytes, requests, completed)


class _PrefectApi:
    """Creates and counts the runs of one deployment; repeats requests while the server is busy.

    Every method raises TimeoutError after the deadline.
    """

    def __init__(self, http: httpx.Client, service: RunService, deadline: float) -> None:
        self._http = http
        self._service = service
        self._deadline = deadline
        self._id = self._send("GET", f"/deployments/name/{service.deployment}").json()["id"]

    def create_runs(self, count: int) -> None:
        """Create runs at RUNS_PER_SECOND and wait for all responses."""
        path = f"/deployments/{self._id}/create_flow_run"
        started_at = time.monotonic()
        with ThreadPoolExecutor(REQUEST_THREADS) as pool:
            futures = []
            for number in range(count):
                time.sleep(max(0.0, started_at + number / RUNS_PER_SECOND - time.monotonic()))
                body = {"parameters": self._service.parameters(number), "idempotency_key": f"run {number}"}
                futures.append(pool.submit(self._send, "POST", path, body))
            for future in futures:
                future.result()

    def count(self, state: dict[str, Any]) -> int:
        """Return how many runs have a state."""
        body = {"deployments": {"id": {"any_": [self._id]}}, "flow_runs": {"state": state}}
        counted: int = self._send("POST", "/flow_runs/count", body).json()
        return counted

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        while time.monotonic() < self._deadline:
            try:
                response = self._http.request(method, path, json=body)
            except httpx.TransportError:
                pass
            else:
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return response.raise_for_status()
            time.sleep(RETRY_SECONDS)
        raise TimeoutError
