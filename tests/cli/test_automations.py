"""`avatars automations apply` as its users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from prefect.client.orchestration import get_client

from deployments.automations import DEAD_RUNS, PREFIX

NOTICE = f"{PREFIX}notify when refused"

pytestmark = pytest.mark.system


@pytest.fixture
def fresh(prefect_api_url: str) -> Iterator[None]:
    """The Prefect server without our automations, before and after."""

    def clean() -> None:
        with get_client(sync_client=True) as client:
            for one in client.read_automations():
                if one.name.startswith(PREFIX):
                    client.delete_automation(one.id)

    clean()
    yield
    clean()


def apply(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(
        [sys.executable, "-m", "cli", "automations", "apply", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    assert "Traceback" not in ran.stderr
    return ran


@pytest.mark.prefect
@pytest.mark.usefixtures("fresh")
def test_it_tells_of_each_automation_what_became_of_it() -> None:
    first = apply()
    assert first.returncode == 0
    lines = first.stdout.splitlines()
    assert f"created    {DEAD_RUNS}" in lines
    assert f"left out   {NOTICE}" in lines
    assert "needs a block (--notify)" in first.stderr
    second = apply("--json")
    assert second.returncode == 0
    results = {one["name"]: one["result"] for one in json.loads(second.stdout)}
    assert results[DEAD_RUNS] == "unchanged"
    assert results[NOTICE] == "left out"


@pytest.mark.prefect
@pytest.mark.usefixtures("fresh")
def test_a_block_that_is_not_there_is_one_clear_message() -> None:
    ran = apply("--notify", "slack-webhook/nobody", "--json")
    assert ran.returncode == 3
    error = json.loads(ran.stdout)["error"]
    assert error["message"] == "there is no block 'slack-webhook/nobody'"
    assert "`prefect block ls`" in error["hint"]
    assert error["message"] in ran.stderr


@pytest.mark.prefect
@pytest.mark.usefixtures("fresh")
def test_what_is_no_blocks_name_is_bad_usage() -> None:
    ran = apply("--notify", "ops")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "must be TYPE-SLUG/NAME, as slack-webhook/ops; it is 'ops'" in ran.stderr


@pytest.mark.parametrize(
    ("url", "told"), [("", "no Prefect API is configured"), ("http://127.0.0.1:9/api", "no Prefect API answers")]
)
def test_without_a_prefect_api_it_is_one_clear_message(url: str, told: str) -> None:
    ran = apply(PREFECT_API_URL=url)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert told in ran.stderr
