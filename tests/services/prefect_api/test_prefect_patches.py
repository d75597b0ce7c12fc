"""The patches of Prefect's internals: installed for tested versions, left out with a warning for others."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from typing import NoReturn
from uuid import UUID, uuid4

import httpx
import prefect
import pytest
from prefect import states, task, task_engine
from prefect._internal import states as sync_states
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import PrefectHTTPStatusError
from prefect.flow_engine import run_flow_in_subprocess
from prefect.runner import Runner, _starter_direct
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    PREFECT_SERVER_DATABASE_PASSWORD,
    temporary_settings,
)

from models.text import redaction
from models.text.redaction import redact
from services.prefect_api import prefect_patches
from services.prefect_api.prefect_patches import (
    patch_flow_run_starter,
    patch_runner_requests,
    patch_state_messages,
    patch_task_interruption,
    register_prefect_secrets,
)

UNPATCHED_RUNNER = (Runner._cancel_run, PrefectClient.get_scheduled_flow_runs_for_deployments)
URL = "https://videos.example/ada.mp4?X-Amz-Signature=canary"


@pytest.fixture(autouse=True)
def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test without patches and undo the test's own."""
    for module in (states, sync_states):
        monkeypatch.setattr(module, "format_exception", prefect_patches._format_exception)
    monkeypatch.setattr(task_engine.AsyncTaskRunEngine, "handle_crash", prefect_patches._handle_crash)
    monkeypatch.setattr(_starter_direct, "run_flow_in_subprocess", run_flow_in_subprocess)
    monkeypatch.setattr(Runner, "_cancel_run", UNPATCHED_RUNNER[0])
    monkeypatch.setattr(PrefectClient, "get_scheduled_flow_runs_for_deployments", UNPATCHED_RUNNER[1])


def start_process(*_: object) -> NoReturn:
    raise AssertionError


def test_installed_prefect_is_a_tested_version() -> None:
    assert prefect.__version__.startswith(prefect_patches.PATCHED_VERSION)


async def test_state_messages_are_redacted() -> None:
    patch_state_messages()
    error = ValueError(URL)
    for state in (
        await states.exception_to_failed_state(error),
        await states.exception_to_crashed_state(error),
        sync_states.exception_to_failed_state_sync(error),
        sync_states.exception_to_crashed_state_sync(error),
    ):
        assert state.message is not None
        assert "canary" not in state.message
        assert "ada.mp4?…" in state.message


def test_passwords_of_prefect_are_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_registered_secrets", [])
    for secrets in (
        {PREFECT_API_AUTH_STRING: "ada:canary//k3y0"},
        {PREFECT_SERVER_DATABASE_CONNECTION_URL: "postgresql+asyncpg://ada:canary-k3y1@h/db"},
        {PREFECT_SERVER_DATABASE_PASSWORD: "canary-k3y2"},
    ):
        with temporary_settings(secrets):
            register_prefect_secrets()
    assert redact("canary//k3y0, canary-k3y1 and canary-k3y2") == "…, … and …"


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
async def test_task_interrupted_before_its_record_stays_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM cancels the task of asyncio, at any await."""

    @task
    async def interrupted() -> None:
        """Never called."""

    async def cancel_while_creating(*_: object, **__: object) -> NoReturn:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        await asyncio.sleep(0)
        raise AssertionError

    monkeypatch.setattr(interrupted, "create_local_run", cancel_while_creating)
    with pytest.raises(ValueError, match="Task run is not set"):  # if Prefect fixes this, remove the patch
        await asyncio.create_task(interrupted())
    patch_task_interruption()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(interrupted())


def test_flow_run_starter_is_replaced() -> None:
    patch_flow_run_starter(start_process)
    assert _starter_direct.run_flow_in_subprocess is start_process  # type: ignore[attr-defined]


class UnreachableClient:
    """A Prefect client whose server answers 500."""

    async def read_flow_run(self, run_id: UUID) -> NoReturn:
        request = httpx.Request("GET", f"http://127.0.0.1/api/flow_runs/{run_id}")
        raise PrefectHTTPStatusError("failed", request=request, response=httpx.Response(500, request=request))


async def test_failed_cancellation_does_not_end_the_runner(caplog: pytest.LogCaptureFixture) -> None:
    runner, run_id = Runner(name="patched"), uuid4()
    runner._client = UnreachableClient()  # type: ignore[assignment]
    with pytest.raises(PrefectHTTPStatusError):  # if Prefect fixes this, remove the patch
        await runner._cancel_run(run_id)
    patch_runner_requests()
    await runner._cancel_run(run_id)
    assert str(run_id) in caplog.text


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
async def test_runner_polls_through_the_patch() -> None:
    """The poller of a runner calls the replaced method with these arguments."""
    patch_runner_requests()
    async with Runner(name="patched") as runner:
        assert await runner._scheduled_run_poller._get_scheduled_flow_runs() == []


def test_other_versions_are_not_patched(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(prefect, "__version__", "3.10.0")
    patch_state_messages()
    patch_task_interruption()
    patch_flow_run_starter(start_process)
    patch_runner_requests()
    assert states.format_exception is prefect_patches._format_exception
    assert (Runner._cancel_run, PrefectClient.get_scheduled_flow_runs_for_deployments) == UNPATCHED_RUNNER
    assert _starter_direct.run_flow_in_subprocess is not start_process  # type: ignore[attr-defined]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 4
    assert "Prefect 3.10.0 is not patched" in caplog.text


def test_importing_a_flow_installs_the_hooks_and_importing_services_does_not() -> None:
    """A Prefect worker imports the flow and calls nothing else of this project before it validates parameters."""
    script = """
import logging
import services.context, services.prefect_api.prefect_patches, services.prefect_api.redaction_hooks
import tasks.submit_avatar
from prefect import states
from prefect.flow_engine import run_flow_in_subprocess
assert logging.getLogRecordFactory() is logging.LogRecord
assert states.format_exception is services.prefect_api.prefect_patches._format_exception
import flows.fleet_report
assert logging.getLogRecordFactory() is services.prefect_api.redaction_hooks.RedactedLogRecord
assert states.format_exception is services.prefect_api.prefect_patches._redacted_format_exception
"""
    completed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False
    )
    assert (completed.returncode, completed.stderr) == (0, "")
