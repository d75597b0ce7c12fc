"""The fork server imports what runs need: multiprocessing ignores a preload that cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import gc, multiprocessing
from deployments.embedded.forkserver_runner import use_forkserver

use_forkserver()
with multiprocessing.get_context("forkserver").Pool(1) as pool:
    print(pool.apply(gc.get_freeze_count))
"""


def test_forks_have_the_frozen_objects_of_the_fork_server(tmp_path: Path) -> None:
    completed = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"HOME": str(tmp_path), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert completed.returncode == 0, completed.stderr
    assert int(completed.stdout) > 100_000
