"""The media check of a file of 1.4 GB whose index is at its end: ours, ffprobe's, and a full download."""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Cost, cost_of, on_core
from benchmarks.world import CORE, OTHER_CORE
from simulator.media_host import running_media_host
from simulator.videos import sample

NAME = "dataset-1.4gb.mp4"
LIMIT_SECONDS = 300.0
DOWNLOAD = """
import sys, httpx
with httpx.stream("GET", sys.argv[1], timeout=60) as answer:
    for _ in answer.iter_raw(1 << 20):
        pass
"""


@dataclass(frozen=True)
class Look:
    """One way to look at the file: what it cost, and how many requests it sent."""

    name: str
    cost: Cost
    requests: int


def measure() -> list[Look]:
    """Return a look for each way; ffprobe's only where it is installed."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        sample(NAME, folder / "videos")
        with on_core(CORE), running_media_host(folder / "videos") as host:
            url = host.url(NAME)
            environment = {"SSL_CERT_FILE": str(host.ca_file), "AVATARS_MEDIA_ALLOWED_HOSTS": "127.0.0.1"}
            ways = {
                "avatars check": [sys.executable, "-m", "cli", "check", url, "--role", "dataset"],
                "full download (httpx)": [sys.executable, "-c", DOWNLOAD, url],
            }
            if (ffprobe := shutil.which("ffprobe")) is not None:
                trusting = ["-tls_verify", "1", "-ca_file", str(host.ca_file)]
                ways["ffprobe URL"] = [ffprobe, "-v", "error", "-show_streams", *trusting, url]
            looks = []
            for way, words in ways.items():
                before = len(host.requests)
                with on_core(OTHER_CORE):
                    cost = cost_of(words, environment, folder, limit_seconds=LIMIT_SECONDS)
                looks.append(Look(way, cost, len(host.requests) - before))
    return looks
