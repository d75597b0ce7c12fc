"""Probes a 1.4 GB video with a trailing moov atom: `avatars check`, ffprobe, and a full download."""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process_metrics import ProcessCost, measure_command, pinned_to_core
from benchmarks.simulator_process import SERVER_CORE, WORKLOAD_CORE
from simulator.media_host import running_media_host
from simulator.sample_videos import ensure_sample

NAME = "dataset-1.4gb.mp4"
LIMIT_SECONDS = 300.0
DOWNLOAD = """
import sys, httpx
with httpx.stream("GET", sys.argv[1], timeout=60) as response:
    for _ in response.iter_raw(1 << 20):
        pass
"""


@dataclass(frozen=True)
class ProbeMeasurement:
    """The cost and the number of requests of one implementation."""

    implementation: str
    cost: ProcessCost
    requests: int


def measure() -> list[ProbeMeasurement]:
    """Measure each implementation; ffprobe only if it is installed."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        ensure_sample(NAME, folder / "videos")
        with pinned_to_core(SERVER_CORE), running_media_host(folder / "videos") as host:
            url = host.url(NAME)
            environment = {"SSL_CERT_FILE": str(host.ca_file), "AVATARS_MEDIA_ALLOWED_HOSTS": "127.0.0.1"}
            commands = {
                "avatars check": [sys.executable, "-m", "cli", "check", url, "--role", "dataset"],
                "full download (httpx)": [sys.executable, "-c", DOWNLOAD, url],
            }
            if (ffprobe := shutil.which("ffprobe")) is not None:
                tls_options = ["-tls_verify", "1", "-ca_file", str(host.ca_file)]
                commands["ffprobe URL"] = [ffprobe, "-v", "error", "-show_streams", *tls_options, url]
            measurements = []
            for implementation, args in commands.items():
                before = len(host.requests)
                with pinned_to_core(WORKLOAD_CORE):
                    cost = measure_command(args, environment, folder, limit_seconds=LIMIT_SECONDS)
                measurements.append(ProbeMeasurement(implementation, cost, len(host.requests) - before))
    return measurements
