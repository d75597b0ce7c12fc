"""`avatars demo` as the README describes it: no configuration, every outcome, and a persistent ledger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API_URL")}
    return subprocess.run(
        [sys.executable, "-m", "cli", *args],
        capture_output=True,
        text=True,
        timeout=240,
        env={**environment, "HOME": str(home)},
        check=False,
    )


@pytest.mark.system
@pytest.mark.timeout(300)
def test_demo_shows_every_outcome_and_ledger_keeps_them(tmp_path: Path) -> None:
    demo = run(tmp_path, "demo")
    assert demo.returncode == 0, demo.stderr
    outcomes = ("READY", "TRAINING_FAILED", "REFUSED", "TIMED_OUT", "REJECTED", "SUBMISSION_FAILED", "VANISHED")
    for text in (*outcomes, "dataset.duration-too-short", "consent.duration-too-long"):
        assert text in demo.stdout
    assert "starting one on loopback" in demo.stderr
    provisionings = json.loads(run(tmp_path, "list", "--json").stdout)
    assert {provisioning["status"] for provisioning in provisionings} == set(outcomes)
    [adopted] = [
        provisioning
        for provisioning in provisionings
        if provisioning["name"] == "Connection drops after the submission"
    ]
    assert (adopted["status"], len(adopted["submissions"])) == ("READY", 1)
    details = json.loads(run(tmp_path, "show", adopted["id"], "--json").stdout)
    assert any("and adopted" in event["message"] for event in details["events"])
    assert (tmp_path / ".avatars").stat().st_mode & 0o077 == 0
