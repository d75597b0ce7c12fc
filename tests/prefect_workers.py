"""Creates a process work pool at a real Prefect server, and starts workers for it as processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.stack import PrefectApi


@contextlib.contextmanager
def work_pool(api: PrefectApi) -> Iterator[str]:
    """Create a work pool and register every deployment twice; the second time changes nothing."""
    from deployments.catalog import CATALOG
    from services.prefect_api.global_rate_limit import LIMIT_NAME

    name = f"pool-{uuid.uuid4().hex[:8]}"
    assert api.call("POST", "/work_pools/", {"name": name, "type": "process"}).status_code == 201
    for _ in range(2):
        subprocess.run([sys.executable, "-m", "cli", "deploy", "--pool", name], check=True, capture_output=True)
    deployments = api.call("POST", "/deployments/filter", {"work_pools": {"name": {"any_": [name]}}}).json()
    assert len({deployment["id"] for deployment in deployments}) == len(deployments) == len(CATALOG)
    yield name
    for deployment in deployments:
        assert api.call("DELETE", f"/deployments/{deployment['id']}").status_code == 204
    # `avatars deploy` created it with the rate of this test; it would slow down the other tests of this server.
    assert api.call("DELETE", f"/v2/concurrency_limits/{LIMIT_NAME}").status_code == 204


@contextlib.contextmanager
def worker(pool: str, folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker in its own session, and terminate it on exit if it is still running."""
    with (folder / f"worker-{uuid.uuid4().hex}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, *options],
            env={**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "1"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(60)
