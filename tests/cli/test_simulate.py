"""`avatars simulate`: a shell that runs the printed commands works with the simulator and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.scenarios import SCENARIOS


@pytest.mark.system
def test_printed_settings_replace_a_configured_service(tmp_path: Path) -> None:
    configured = {
        "AVATARS_DATABASE_URL": "postgresql+asyncpg://real@db/real",
        "ARGIL_API_KEY": "simulator-key",  # as in a shell that an earlier simulator was used from
        "AVATARS_CREDENTIALS_BLOCK": "secret/real",
        "AVATARS_POLL_MIN_SECONDS": "2",
        "PREFECT_API_URL": "https://real.example/api",
        "PREFECT_PROFILE": "real",
        "https_proxy": "http://proxy.example",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "cli", "simulate", "--port", "0"],
        env={**os.environ, **configured, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        commands = ""
        # The whole output is a script, because a person saves it in a file.
        while list(SCENARIOS)[-1] not in commands and (line := process.stdout.readline()):
            commands += line
        process.terminate()
    shell = subprocess.run(
        ["bash", "-c", f"{commands}\nenv -0"],
        env={**os.environ, **configured},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.returncode == 0
    environment = dict(entry.split("=", 1) for entry in shell.stdout.split("\0") if entry)
    assert not environment.keys() & {"PREFECT_PROFILE", "https_proxy"}
    assert environment["AVATARS_DATABASE_URL"].startswith(f"sqlite+aiosqlite:///{tmp_path}")
    assert environment["PREFECT_HOME"].startswith(str(tmp_path))
    assert environment["ARGIL_API_URL"].startswith("http://127.0.0.1:")
    assert environment["ARGIL_API_KEY"] == "simulator-key"
    assert environment["AVATARS_POLL_MIN_SECONDS"] == "2"
    assert (environment["AVATARS_CREDENTIALS_BLOCK"], environment["PREFECT_API_URL"]) == ("", "")
