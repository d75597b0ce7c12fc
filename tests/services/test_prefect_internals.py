"""The undocumented behaviour of Prefect that this project relies on, one test each.

A test that fails after an upgrade of Prefect names the module that has to change.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from prefect import Flow, flow, task
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State, Variable
from prefect.exceptions import Pause, TerminationSignal
from prefect.runner import Runner
from prefect.runtime import flow_run, task_run
from prefect.states import Suspended
from sqlalchemy import event

from tests.stack import wait_for

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


async def test_runner_handles_sigterm_before_its_first_await(tmp_path: Path) -> None:
    """deployments/embedded/runner_process.py then replaces the handler; Prefect must not install it later."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    previous = signal.getsignal(signal.SIGTERM)
    runner = Runner(name="interrupted")
    runner._tmp_dir = tmp_path / "runner"  # a runner that is cancelled while it starts does not remove it
    try:
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):  # without a URL it starts a server
            running = asyncio.create_task(runner.start())
            await asyncio.sleep(0)
        assert signal.getsignal(signal.SIGTERM) == runner.handle_sigterm
    finally:
        signal.signal(signal.SIGTERM, previous)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


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


def test_default_database_is_the_one_that_prefect_connection_compares(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """deployments/embedded/prefect_connection.py: a configured database is one with another URL."""
    from prefect.settings import Settings

    from deployments.embedded.prefect_connection import DEFAULT_DATABASE_URL_TEMPLATE

    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    url = Settings().server.database.connection_url
    assert url is not None
    assert url.get_secret_value() == DEFAULT_DATABASE_URL_TEMPLATE.format(tmp_path)


def test_server_limits_requests_by_the_middleware_that_server_process_removes() -> None:
    """deployments/embedded/server_process.py reads the limit from the arguments of `RequestLimitMiddleware`."""
    from prefect.settings import PREFECT_UI_ENABLED, temporary_settings

    from deployments.embedded.server_process import create_prefect_app, take_request_limit

    with temporary_settings({PREFECT_UI_ENABLED: False}):  # it would copy the files of the UI
        app = create_prefect_app([])
    assert take_request_limit(app) == 100
    assert take_request_limit(app) is None


def test_server_parses_the_json_text_of_placeholders() -> None:
    """models/text/storable_json.py checks the text that Prefect's server replaces with what it contains."""
    from prefect.utilities.schema_tools.hydration import HydrationContext, hydrate

    from models.text.storable_json import JSON_KIND, PREFECT_KIND

    placeholder = {PREFECT_KIND: JSON_KIND, "value": {PREFECT_KIND: "none", "value": '["Ada"]'}}
    assert hydrate({"name": placeholder}, HydrationContext()) == {"name": ["Ada"]}


def test_variables_are_read_from_a_list() -> None:
    """services/prefect_api/prefect_search.py reads pages of variables by this method of Prefect's base class."""
    [variable] = Variable.model_validate_list([{"id": str(FLOW_RUN_ID), "name": "lease", "value": "held"}])
    assert (variable.name, variable.value) == ("lease", "held")


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
        ("prefect.flow_engine", "run_flow"),  # deployments/embedded/forkserver_preload.py
        ("prefect.utilities.visualization", "get_task_viz_tracker"),  # deployments/embedded/forkserver_preload.py
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


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
async def test_ids_of_the_current_runs_are_those_of_the_task_and_of_the_flow() -> None:
    """services/prefect_api/avatar_artifacts.py: the task run comes first, and each is None outside of its run."""
    from prefect.utilities.context import get_task_and_flow_run_ids

    @task
    async def inside_task() -> None:
        assert [str(run_id) for run_id in get_task_and_flow_run_ids()] == [task_run.id, flow_run.id]

    @flow
    async def inside_flow() -> None:
        task_run_id, flow_run_id = get_task_and_flow_run_ids()
        assert (task_run_id, str(flow_run_id)) == (None, flow_run.id)
        await inside_task()

    await inside_flow()
    assert get_task_and_flow_run_ids() == (None, None)


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_sigterm_during_a_flow_raises_termination_signal() -> None:
    """cli/flow_runner.py catches it around `asyncio.run`; `run_flow` must not catch it as an Exception."""

    @flow
    async def terminated() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    previous = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the engine sends the signal again, to this handler
    try:
        with pytest.raises(TerminationSignal) as raised:
            asyncio.run(terminated())
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert not isinstance(raised.value, Exception)


@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
async def test_runner_cancels_runs_by_the_method_that_prefect_patches_replaces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """services/prefect_api/prefect_patches.py replaces `Runner._cancel_run`."""
    cancelled: list[uuid.UUID] = []

    async def cancel_run(_runner: Runner, run_id: uuid.UUID) -> None:
        cancelled.append(run_id)

    monkeypatch.setattr(Runner, "_cancel_run", cancel_run)
    async with Runner(name="cancelling") as runner:
        assert runner._cancelling_observer is not None
        runner._cancelling_observer.on_cancelling(FLOW_RUN_ID)
    assert cancelled == [FLOW_RUN_ID]


@pytest.mark.prefect
async def test_history_of_the_ui_returns_ids_of_runs_without_their_texts(prefect_api_url: str) -> None:
    """services/runs/run_listing.py: a run with a text that cannot be returned fails `/flow_runs/filter` only."""
    async with httpx.AsyncClient(base_url=prefect_api_url, timeout=100) as prefect:
        flow_id = (await prefect.post("/flows/", json={"name": "listed"})).json()["id"]
        runs = []
        for hour in range(3):
            state = {"type": "SCHEDULED", "state_details": {"scheduled_time": f"2026-01-01T0{hour}:00:00Z"}}
            run = await prefect.post("/flow_runs/", json={"flow_id": flow_id, "state": state})
            runs.append(uuid.UUID(run.json()["id"]))
        query = {
            "flow_runs": FlowRunFilter(id=FlowRunFilterId(any_=runs)).model_dump(mode="json"),
            "flows": None,
            "deployments": None,
            "sort": "EXPECTED_START_TIME_DESC",
            "offset": 1,
            "limit": 2,
        }
        history = (await prefect.post("/ui/flow_runs/history", json=query)).raise_for_status().json()
        for run_id in runs:
            await prefect.delete(f"/flow_runs/{run_id}")
    assert [uuid.UUID(run["id"]) for run in history] == [runs[1], runs[0]]
    assert history[0].keys() == {"id", "state_type", "timestamp", "duration", "lateness"}


@pytest.mark.prefect
def test_request_for_scheduled_runs_marks_deployments_as_ready(prefect_api_url: str) -> None:
    """services/runs/scheduled_runs.py sends one that returns no run, so that the deployments have a runner."""
    with httpx.Client(base_url=prefect_api_url, timeout=100) as prefect:
        flow_id = prefect.post("/flows/", json={"name": "polled"}).json()["id"]
        body = {"name": f"polled-{uuid.uuid4().hex}", "flow_id": flow_id}
        deployment_id = prefect.post("/deployments/", json=body).json()["id"]

        def status() -> str:
            return str(prefect.get(f"/deployments/{deployment_id}").json()["status"])

        assert status() == "NOT_READY"
        query = {"deployment_ids": [deployment_id], "scheduled_before": "1970-01-01T00:00:00Z"}
        assert prefect.post("/deployments/get_scheduled_flow_runs", json=query).json() == []
        # A background task of the server marks it.
        wait_for(lambda: status() == "READY" or None, "the deployment to be ready", timeout_seconds=60)
        prefect.delete(f"/deployments/{deployment_id}")
