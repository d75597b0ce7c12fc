"""The demo as the README has it: with nothing configured, every outcome, and the ledger that keeps it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API_URL")}
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        capture_output=True,
        text=True,
        timeout=240,
        env={**environment, "HOME": str(home)},
        check=False,
    )


@pytest.mark.system
@pytest.mark.timeout(300)
def test_the_demo_shows_every_outcome_and_the_ledger_keeps_it(tmp_path: Path) -> None:
    demo = run(tmp_path, "demo")
    assert demo.returncode == 0, demo.stderr
    outcomes = ("READY", "TRAINING_FAILED", "REFUSED", "TIMED_OUT", "REJECTED", "SUBMISSION_FAILED", "VANISHED")
    for told in (*outcomes, "dataset.too-short", "consent.too-long"):
        assert told in demo.stdout
    assert "starting one on loopback" in demo.stderr
    listed = json.loads(run(tmp_path, "list", "--json").stdout)
    assert {one["status"] for one in listed} == set(outcomes)
    [cut] = [one for one in listed if one["name"] == "The line is cut after the create"]
    assert (cut["status"], len(cut["submissions"])) == ("READY", 1)
    shown = json.loads(run(tmp_path, "show", cut["id"], "--json").stdout)
    assert any("was adopted" in event["why"] for event in shown["events"])
    assert (tmp_path / ".avatars").stat().st_mode & 0o077 == 0
