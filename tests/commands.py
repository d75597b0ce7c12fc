"""The `avatars` command as a process: started, and what it left once it has ended, free of secrets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from simulator.media_host import MediaHost

SECRETS = ("canary-api-key", "canary-signature", "Traceback")


class Ran:
    """A command that has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.out, self.err = process.communicate(timeout=110)
        self.code = process.returncode
        for secret in SECRETS:
            assert secret not in self.out + self.err

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def start(*words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def avatars(*words: str, **environment: str) -> Ran:
    return Ran(start(*words, **environment))


def provision_words(
    videos: MediaHost,
    name: str = "Ada",
    fault: str = "",
    dataset: str = "dataset.mp4",
    consent: str = "consent.mp4",
) -> list[str]:
    words = ["provision", "--name", name]
    words += ["--dataset-video", f"{videos.url(dataset)}?X-Amz-Signature=canary-signature"]
    words += ["--consent-video", f"{videos.url(consent)}?X-Amz-Signature=canary-signature"]
    return [*words, "--extra", f"simulator={fault}"] if fault else words
