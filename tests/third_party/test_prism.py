"""A provisioning against Prism, an independent OpenAPI mock server, which must report no violation."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PRISM = os.environ.get("AVATARS_TEST_PRISM")
FOLDER = Path(__file__).parent
VIDEO_OPTIONS = ("--dataset-video", "https://videos.example/d.mp4")
IMAGE_OPTIONS = ("--image", "https://videos.example/i.png", "--voice-id", "3f2b8c1e-5d47-4a90-9b6e-0c1d2e3f4a5b")
CONTRACTS = {"argil-openapi.yaml": VIDEO_OPTIONS, "argil-current-openapi.yaml": IMAGE_OPTIONS}
"""The original specification with the body of videos, and the current reference with the body of an image."""

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(PRISM is None, reason="AVATARS_TEST_PRISM is not set; .ci/run installs Prism with npm"),
]


class Mock:
    """A running Prism process; `log` is its output so far."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.url = url
        self.log: list[str] = []
        while "listening" not in self.next_line():
            pass

    def next_line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"Prism exited: {self.log}"
        self.log.append(re.sub(r"\x1b\[[0-9;]*m", "", line))
        return line

    def stop(self) -> str:
        self._process.terminate()
        remaining_output, _ = self._process.communicate(timeout=20)
        return "".join(self.log) + remaining_output


@pytest.fixture
def mock(document: str) -> Iterator[Mock]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        [str(PRISM), "mock", "--errors", "-h", "127.0.0.1", "-p", str(port), str(FOLDER / document)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Mock(process, f"http://127.0.0.1:{port}")
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.mark.usefixtures("prefect_api_url")
@pytest.mark.parametrize("document", CONTRACTS)
def test_provisioning_against_prism_is_ready(mock: Mock, document: str, tmp_path: Path) -> None:
    urls = [*CONTRACTS[document], "--consent-video", "https://videos.example/c.mp4"]
    completed = subprocess.run(
        [sys.executable, "-m", "cli", "provision", "--name", "Ada", *urls, "--extra", "team=blue", "--json"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={
            **os.environ,
            "ARGIL_API_URL": mock.url,
            "ARGIL_API_KEY": "any",
            "AVATARS_MEDIA_CHECK": "off",
            "AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}",
        },
    )
    assert completed.returncode == 0, completed.stderr
    assert json.loads(completed.stdout)["status"] == "READY"
    log = mock.stop()
    assert log.count("passed the validation rules") >= 2
    assert "violation" not in log.lower()
    assert "did not pass" not in log
