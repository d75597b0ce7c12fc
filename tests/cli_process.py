"""Run the `avatars` command as a process; its output is checked for secrets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from simulator.media_host import MediaHost

SECRETS = ("canary-api-key", "canary-signature", "Traceback")
TIMEOUT_SECONDS = 110.0


class CompletedCommand:
    """Exit code and output of a finished command. One that takes longer is killed, and the test fails."""

    def __init__(self, process: subprocess.Popen[str], timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        try:
            self.out, self.err = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        self.code = process.returncode
        for secret in SECRETS:
            assert secret not in self.out + self.err

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@contextlib.contextmanager
def ended_by_hangup() -> Iterator[None]:
    """Start processes that end with their terminal: `nohup pytest` passes on that SIGHUP is ignored."""
    handler = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, handler)


def start(*args: str, **environment: str) -> subprocess.Popen[str]:
    with ended_by_hangup():
        return subprocess.Popen(
            [sys.executable, "-m", "cli", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )


def avatars(*args: str, **environment: str) -> CompletedCommand:
    return CompletedCommand(start(*args, **environment))


def provision_args(
    videos: MediaHost,
    name: str = "Ada",
    fault: str = "",
    dataset: str = "dataset.mp4",
    consent: str = "consent.mp4",
) -> list[str]:
    args = ["provision", "--name", name]
    args += ["--dataset-video", f"{videos.url(dataset)}?X-Amz-Signature=canary-signature"]
    args += ["--consent-video", f"{videos.url(consent)}?X-Amz-Signature=canary-signature"]
    return [*args, "--extra", f"simulator={fault}"] if fault else args
