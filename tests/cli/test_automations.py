"""`avatars automations apply` as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from prefect.client.orchestration import get_client

from deployments.automations import MARK_CRASHED_RUNS, PREFIX

NOTICE = f"{PREFIX}notify when refused"

pytestmark = pytest.mark.system


@pytest.fixture
def without_automations(prefect_api_url: str) -> Iterator[None]:
    """Remove our automations from the Prefect server before and after the test."""

    def clean() -> None:
        with get_client(sync_client=True) as client:
            for automation in client.read_automations():
                if automation.name.startswith(PREFIX):
                    client.delete_automation(automation.id)

    clean()
    yield
    clean()


def apply(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    completed = subprocess.run(
        [sys.executable, "-m", "cli", "automations", "apply", *args],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    assert "Traceback" not in completed.stderr
    return completed


@pytest.mark.prefect
@pytest.mark.usefixtures("without_automations")
def test_apply_reports_the_result_of_each_automation() -> None:
    first = apply()
    assert first.returncode == 0
    lines = first.stdout.splitlines()
    assert f"created    {MARK_CRASHED_RUNS}" in lines
    assert f"skipped    {NOTICE}" in lines
    assert "need --notification-block" in first.stderr
    second = apply("--json")
    assert second.returncode == 0
    results = {item["name"]: item["result"] for item in json.loads(second.stdout)}
    assert results[MARK_CRASHED_RUNS] == "unchanged"
    assert results[NOTICE] == "skipped"


@pytest.mark.prefect
@pytest.mark.usefixtures("without_automations")
def test_apply_with_missing_block_is_one_clear_error() -> None:
    ran = apply("--notification-block", "slack-webhook/missing", "--json")
    assert ran.returncode == 3
    error = json.loads(ran.stdout)["error"]
    assert error["message"] == "the block 'slack-webhook/missing' does not exist"
    assert "`prefect block ls`" in error["hint"]
    assert error["message"] in ran.stderr


@pytest.mark.prefect
@pytest.mark.usefixtures("without_automations")
def test_apply_with_malformed_block_is_bad_usage() -> None:
    ran = apply("--notification-block", "ops")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "must be TYPE-SLUG/NAME, for example slack-webhook/ops; got 'ops'" in ran.stderr


@pytest.mark.parametrize(
    ("url", "message"),
    [("", "no Prefect API is configured"), ("http://127.0.0.1:9/api", "no Prefect API responds")],
)
def test_apply_without_prefect_api_is_one_clear_error(url: str, message: str) -> None:
    ran = apply(PREFECT_API_URL=url)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert message in ran.stderr
