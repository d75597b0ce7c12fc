"""Against somebody else's reading of Argil's document: Prism, an OpenAPI mock server, finds no violation."""

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
DOCUMENT = Path(__file__).parent / "argil-openapi.yaml"

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(PRISM is None, reason="AVATARS_TEST_PRISM names no Prism; .ci/run installs one by npm"),
]


class Mock:
    """A running Prism; `log` is what it has said so far."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.url = url
        self.log: list[str] = []
        while "listening" not in self.next_line():
            pass

    def next_line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"Prism ended: {self.log}"
        self.log.append(re.sub(r"\x1b\[[0-9;]*m", "", line))
        return line

    def end(self) -> str:
        self._process.terminate()
        rest, _ = self._process.communicate(timeout=20)
        return "".join(self.log) + rest


@pytest.fixture
def mock() -> Iterator[Mock]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        [str(PRISM), "mock", "--errors", "-h", "127.0.0.1", "-p", str(port), str(DOCUMENT)],
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
def test_a_provisioning_against_prism_ends_ready_and_breaks_no_rule(mock: Mock, tmp_path: Path) -> None:
    urls = ["--dataset-video", "https://videos.example/d.mp4", "--consent-video", "https://videos.example/c.mp4"]
    ran = subprocess.run(
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
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["status"] == "READY"
    log = mock.end()
    assert log.count("passed the validation rules") >= 2
    assert "violation" not in log.lower()
    assert "did not pass" not in log
