"""The undocumented behaviour of Prefect that this project relies on, one test each.

A test that fails after an upgrade of Prefect names the module that has to change.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Pause
from prefect.states import Suspended
from sqlalchemy import event

FLOW_RUN_ID = uuid.UUID(int=7)


class FinishedProcess:
    """A process that has ended; the runner only joins it and reads its id and exit code."""

    pid = 1
    exitcode = 0

    def join(self) -> None:
        pass


async def test_runner_starts_runs_through_the_name_that_forkserver_runner_replaces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """services/prefect_api/prefect_patches.py and deployments/embedded/forkserver_runner.py."""
    from prefect.runner import _starter_direct

    calls: list[tuple[object, FlowRun, dict[str, str | None]]] = []

    def start_process(flow_: object, flow_run: FlowRun, env: dict[str, str | None]) -> FinishedProcess:
        calls.append((flow_, flow_run, env))
        return FinishedProcess()

    monkeypatch.setattr(_starter_direct, "run_flow_in_subprocess", start_process)
    example: Flow[[], None] = Flow(lambda: None, name="example")
    run = FlowRun(id=FLOW_RUN_ID, flow_id=uuid.uuid4())
    starter = _starter_direct.DirectSubprocessStarter(
        flow=example, deployment_name="on-demand", heartbeat_seconds=9
    )
    async with anyio.create_task_group() as group:
        await group.start(starter.start, run)
    assert calls == [
        (example, run, {"PREFECT__DEPLOYMENT_NAME": "on-demand", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "9"})
    ]


def test_runner_uses_the_direct_starter_for_flows_in_its_process() -> None:
    """deployments/embedded/forkserver_runner.py: another starter would bypass the fork server."""
    from prefect.runner import runner

    assert "DirectSubprocessStarter(" in inspect.getsource(runner)


def test_engine_reads_the_run_that_forkserver_runner_names() -> None:
    """deployments/embedded/forkserver_runner.py: `prefect.engine` as __main__ reads PREFECT__FLOW_RUN_ID."""
    script = (
        "import os, runpy, sys\n"
        "import prefect.flow_engine\n"
        "prefect.flow_engine.load_flow_run = lambda flow_run_id: sys.exit(f'run {flow_run_id}')\n"
        "sys.argv = ['prefect.engine']\n"
        "runpy.run_module('prefect.engine', run_name='__main__', alter_sys=True)\n"
    )
    completed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env={**os.environ, "PREFECT__FLOW_RUN_ID": str(FLOW_RUN_ID)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert f"run {FLOW_RUN_ID}" in completed.stderr


def test_engine_prefers_the_entrypoint_that_forkserver_runner_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """deployments/embedded/forkserver_runner.py: the engine must not load what a deployment names."""
    from prefect import flow_engine

    run = FlowRun(id=FLOW_RUN_ID, flow_id=uuid.uuid4(), deployment_id=uuid.uuid4())
    monkeypatch.setenv("PREFECT__FLOW_ENTRYPOINT", "flows.fleet_report.fleet_report")
    assert flow_engine.load_flow(run).name == "fleet-report"


def test_engine_leaves_cancellation_hooks_to_the_runner() -> None:
    """deployments/embedded/forkserver_runner.py sets PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS to false."""
    from prefect import flow_engine
    from prefect.runner import _starter_engine

    name = "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS"
    for module in (flow_engine, _starter_engine):
        assert f'"{name}": "false"' in inspect.getsource(module)


async def test_propose_state_returns_the_accepted_state_of_a_run() -> None:
    """flows/engine/suspension.py suspends a run with `propose_state` and ends it with `Pause(state=...)`."""
    from prefect.client.schemas.responses import SetStateStatus
    from prefect.utilities.engine import propose_state

    class AcceptingClient:
        async def set_flow_run_state(self, _run_id: uuid.UUID, state: Any, **_: object) -> Any:
            accepted = type("Accepted", (), {"status": SetStateStatus.ACCEPT, "state": state})
            return accepted()

    state: State = Suspended(message="training", pause_key="key")
    client: Any = AcceptingClient()
    accepted = await propose_state(client, state, flow_run_id=FLOW_RUN_ID)
    assert (accepted.message, accepted.state_details.pause_key) == ("training", "key")
    assert Pause(state=accepted).state is accepted


def test_queued_logs_and_events_can_be_drained() -> None:
    """deployments/embedded/prefect_session.py flushes both workers before a process ends."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all()  # without an instance it returns at once


def test_logging_setup_is_not_repeated_once_it_is_done() -> None:
    """cli/console.py and deployments/embedded/runner_process.py add handlers after `ensure_logging_setup`."""
    from prefect.logging.configuration import ensure_logging_setup

    ensure_logging_setup()
    handler = logging.NullHandler()
    logger = logging.getLogger("prefect")
    logger.addHandler(handler)
    try:
        ensure_logging_setup()
        assert handler in logger.handlers
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize(("with_plugin", "expected"), [(False, "BEGIN DEFERRED"), (True, "BEGIN IMMEDIATE")])
async def test_server_begins_write_transactions_with_begin_deferred(
    tmp_path: Path, *, with_plugin: bool, expected: str
) -> None:
    """deployments/embedded/sqlite_immediate.py replaces exactly this statement, through a plugin in the URL."""
    from prefect.server.database.configurations import AioSqliteConfiguration

    from deployments.embedded.prefect_connection import SQLITE_PLUGIN_NAME
    from deployments.embedded.sqlite_immediate import UNLIMITED_OVERFLOW

    query = f"?plugin={SQLITE_PLUGIN_NAME}" if with_plugin else ""
    database = AioSqliteConfiguration(connection_url=f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}{query}")
    engine = await database.engine()
    begun: list[str] = []

    def trace(statement: str) -> None:
        if statement.startswith("BEGIN"):
            begun.append(statement)

    @event.listens_for(engine.sync_engine, "connect")
    def connect(connection: Any, _record: object) -> None:
        connection.driver_connection._conn.set_trace_callback(trace)

    session = await database.session(engine)
    async with session, database.begin_transaction(session):
        await session.connection()
    await engine.dispose()
    assert begun == [expected]
    pool: Any = engine.sync_engine.pool
    assert (pool._max_overflow == UNLIMITED_OVERFLOW) is with_plugin


def test_engine_emits_the_heartbeats_that_the_crash_automation_expects() -> None:
    """deployments/automations.py: the event's name, and the setting that holds the frequency."""
    from prefect import flow_engine
    from prefect.settings import get_current_settings, temporary_settings
    from prefect.settings.legacy import _get_settings_fields

    assert '"prefect.flow-run.heartbeat"' in inspect.getsource(flow_engine)
    setting = _get_settings_fields(type(get_current_settings()))["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]
    with temporary_settings({setting: 45}):
        assert get_current_settings().flows.heartbeat_frequency == 45


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("prefect.context", "FlowRunContext"),  # services/prefect_api/global_rate_limit.py
        ("prefect.concurrency.asyncio", "rate_limit"),  # services/prefect_api/global_rate_limit.py
        ("prefect.client.schemas.responses", "SetStateStatus"),  # services/runs/suspended_runs.py
        ("prefect.types.entrypoint", "EntrypointType"),  # deployments/catalog.py
        ("prefect.deployments.runner", "RunnerDeployment"),  # deployments/catalog.py
    ],
)
def test_undocumented_name_exists(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


def test_embedded_server_is_configured_with_existing_settings() -> None:
    """deployments/embedded/prefect_server.py: Prefect ignores a setting that it does not know."""
    import prefect.settings

    from deployments.embedded.prefect_server import QUIET_SETTINGS

    names = QUIET_SETTINGS.keys() - {"DO_NOT_TRACK"}
    assert {name for name in names if not hasattr(prefect.settings, name)} == set()


def test_console_log_level_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """cli/flow_runner.py and deployments/embedded/stack.py silence the console handler of Prefect."""
    from prefect.logging.configuration import DEFAULT_LOGGING_SETTINGS_PATH, load_logging_config

    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    assert load_logging_config(DEFAULT_LOGGING_SETTINGS_PATH)["handlers"]["console"]["level"] == "CRITICAL"


@pytest.mark.prefect
async def test_server_schedules_runs_of_a_deployment(prefect_api_url: str) -> None:
    """pyproject.toml: Prefect 3.8 could not insert a scheduled run with SQLAlchemy 2.1, and no schedule fired."""
    async with httpx.AsyncClient(base_url=prefect_api_url, timeout=100) as prefect:
        flow_id = (await prefect.post("/flows/", json={"name": "scheduled"})).json()["id"]
        body = {
            "name": f"scheduled-{uuid.uuid4().hex}",
            "flow_id": flow_id,
            "schedules": [{"schedule": {"interval": 60}, "active": True}],
        }
        deployment_id = (await prefect.post("/deployments/", json=body)).json()["id"]
        assert (await prefect.post(f"/deployments/{deployment_id}/schedule", json={})).is_success
        query = {"deployments": {"id": {"any_": [deployment_id]}}}
        assert len((await prefect.post("/flow_runs/filter", json=query)).json()) > 0
        await prefect.delete(f"/deployments/{deployment_id}")
