"""`avatars demo` as the README describes it: every outcome and a ledger of its own, whatever is configured."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(home: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API_URL")}
    return subprocess.run(
        [sys.executable, "-m", "cli", *args],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=240,
        env={**inherited, "PYTHONPATH": str(ROOT), "HOME": str(home), **environment},
        check=False,
    )


def configure_everything(home: Path) -> dict[str, str]:
    """Configure a real ledger, Prefect server and proxy by variables and files; none of them can be reached."""
    (home / ".env").write_text(
        "ARGIL_API_KEY=real-key\nAVATARS_WEBHOOK_TOKEN=real-token-0123456789\nPREFECT_API_URL=http://127.0.0.1:9/api\n"
        f"AVATARS_DATABASE_URL=sqlite+aiosqlite:///{home}/real.db\nAVATARS_MEDIA_CHECK=off\n"
    )
    (home / "prefect.toml").write_text(
        '[api]\nurl = "http://127.0.0.1:9/api"\n[server.docket]\nurl = "redis://127.0.0.1:9/0"\n'
        f'[server.database]\nconnection_url = "sqlite+aiosqlite:///{home}/real-prefect.db"\n'
    )
    return {
        "AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{home}/real.db",
        "avatars_database_url": f"sqlite+aiosqlite:///{home}/real.db",
        "AVATARS_TRAINING_TIMEOUT_SECONDS": "0.1",
        "PREFECT_HOME": str(home / "real-prefect"),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home}/real-prefect.db",
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "",
    }


@pytest.mark.system
@pytest.mark.timeout(300)
def test_demo_uses_a_ledger_of_its_own_for_all_outcomes(tmp_path: Path) -> None:
    demo = run(tmp_path, "demo", **configure_everything(tmp_path))
    assert demo.returncode == 0, demo.stderr
    assert list(tmp_path.glob("real*")) == []
    outcomes = ("READY", "TRAINING_FAILED", "REFUSED", "TIMED_OUT", "REJECTED", "SUBMISSION_FAILED", "VANISHED")
    for text in (*outcomes, "dataset.duration-too-short", "consent.duration-too-long"):
        assert text in demo.stdout
    assert "starting one on loopback" in demo.stderr
    [ledger] = re.findall(r"^AVATARS_DATABASE_URL=(\S+) \S+ list$", demo.stderr, re.MULTILINE)
    provisionings = json.loads(run(tmp_path, "list", "--json", AVATARS_DATABASE_URL=ledger).stdout)
    assert {provisioning["status"] for provisioning in provisionings} == set(outcomes)
    [adopted] = [
        provisioning
        for provisioning in provisionings
        if provisioning["name"] == "Connection drops after the submission"
    ]
    assert (adopted["status"], len(adopted["submissions"])) == ("READY", 1)
    details = json.loads(run(tmp_path, "show", adopted["id"], "--json", AVATARS_DATABASE_URL=ledger).stdout)
    assert any("and adopted" in event["message"] for event in details["events"])
    assert (tmp_path / ".avatars").stat().st_mode & 0o077 == 0
