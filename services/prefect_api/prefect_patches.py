"""All patches of Prefect's internals, each behind a version check and with a fallback.

- `states.format_exception`: Prefect puts every exception into the message of its state (issue 10524).
  Without the patch, these messages are not redacted. `_internal.states`, which the engine of synchronous tasks
  uses, imports the function by name and is patched too.
- `task_engine.AsyncTaskRunEngine.handle_crash`: if a run is interrupted while Prefect creates the record of a task,
  this method raises "Task run is not set" and hides the interruption (seen with 3.9.1). Without the patch, a run
  that SIGTERM interrupts at this moment is Failed instead of Crashed, so it is not started again.
- `_starter_direct.run_flow_in_subprocess`: a runner spawns a process for each run (pull request 16802), and each
  process imports Prefect again (issue 14423). Without the patch, runs start seconds later.
- `PrefectClient.get_scheduled_flow_runs_for_deployments`: the server answers 500 if it cannot return one of the
  runs, and a runner ends after three such responses. Without the patch, one damaged run ends the runner.
- `Runner._cancel_run`: an error in this task ends the runner. Without the patch, a cancelled run that the server
  cannot return, or a lost connection at this moment, ends it.
- `deployments.runner.parameter_schema`: Prefect derives the schema of a deployment's parameters from each parameter
  alone. Without the patch, rules between parameters are enforced by the flow only, after a run exists.

The numbers are those of github.com/PrefectHQ/prefect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any
from uuid import UUID

import prefect
from prefect import Flow, states, task_engine
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import runner as deployment_runner
from prefect.runner import Runner
from prefect.settings import get_current_settings
from prefect.utilities.callables import ParameterSchema
from pydantic import ConfigDict

from models.parameter_forms import with_plain_fields
from models.recordings.recording_secrets import register_credentials, register_password
from models.text.escaping import MAX_STATE_MESSAGE_CHARACTERS, shorten, visible_lines
from models.text.redaction import redact_report, register_secret
from services.prefect_api.redaction_hooks import install_redaction
from services.runs.scheduled_runs import ScheduledRuns

PATCHED_VERSION = "3.9."
"""The patches are tested with these versions of Prefect."""

StartProcess = Callable[[Flow[..., Any], FlowRun, Mapping[str, str | None]], BaseProcess]
"""Starts the process of a flow run with additional environment variables."""

logger = logging.getLogger(__name__)

_format_exception = getattr(states, "format_exception", None)
_parameter_schema = getattr(deployment_runner, "parameter_schema", None)
_handle_crash = getattr(task_engine.AsyncTaskRunEngine, "handle_crash", None)


def install_hooks() -> None:
    """Prepare this process for runs: redact secrets in its output and states, and keep interruptions of tasks.

    Call it in every process that runs or starts flows, before the first run. Calling it again has no effect.
    """
    install_redaction()
    register_prefect_secrets()
    patch_state_messages()
    patch_task_interruption()


def register_prefect_secrets() -> None:
    """Redact the passwords and the API key of Prefect in this process's settings, which errors may repeat."""
    settings = get_current_settings()
    for secret in (settings.api.auth_string, settings.server.api.auth_string):
        if secret is not None:
            register_credentials(secret.get_secret_value())
    if settings.server.database.connection_url is not None:
        register_password(settings.server.database.connection_url.get_secret_value())
    if settings.server.database.password is not None:
        register_credentials(f":{settings.server.database.password.get_secret_value()}")
    if settings.api.key is not None:
        register_secret(settings.api.key.get_secret_value())


def patch_state_messages() -> None:
    """Redact the message of each state that is made from an exception; no logging filter processes it.

    This covers exceptions of tasks, of flows, of the validation of parameters and of the engine itself.
    """
    if not _is_supported("messages of failed states are not redacted") or _format_exception is None:
        return
    # The only function by which Prefect formats the exception of a state; tests/test_secrets.py checks it.
    states.format_exception = _redacted_format_exception  # type: ignore[assignment]  # its default None is not in its type
    try:
        from prefect._internal import states as sync_states  # noqa: PLC0415  # a private module, which may move
    except ImportError:
        logger.warning("Prefect has no prefect._internal.states: messages of synchronous tasks are not redacted")
        return
    sync_states.format_exception = _redacted_format_exception  # type: ignore[assignment, attr-defined]


def patch_task_interruption() -> None:
    """Let an interruption reach the flow if the interrupted task has no record yet that could become Crashed."""
    if not _is_supported("a run that is interrupted at the start of a task may be Failed instead of Crashed"):
        return
    if _handle_crash is None:
        logger.warning("Prefect has no AsyncTaskRunEngine.handle_crash: interrupted runs may be Failed")
        return
    task_engine.AsyncTaskRunEngine.handle_crash = _handle_crash_of_recorded_task  # type: ignore[method-assign, assignment]


def patch_parameter_schemas(rules: Mapping[str, Mapping[str, Any]]) -> None:
    """Add rules between parameters to the schemas that deployments created by this process get.

    Optional fields become fields of their type, which the form shows without a choice.

    Args:
        rules: Keywords of JSON schema for the object of all parameters, by the name of the flow.
    """
    if not _is_supported("the Prefect API does not enforce rules between parameters"):
        return
    if _parameter_schema is None:
        logger.warning(
            "Prefect has no deployments.runner.parameter_schema: its API enforces no rules between parameters"
        )
        return
    derive = _parameter_schema

    def parameter_schema(flow: Flow[..., Any]) -> ParameterSchema:
        schema = derive(flow)
        plain = with_plain_fields(schema.model_dump(exclude_unset=True))
        return _RuledSchema(**plain, **rules.get(flow.name, {}))

    deployment_runner.parameter_schema = parameter_schema  # type: ignore[assignment, attr-defined]


class _RuledSchema(ParameterSchema):
    """The schema of parameters with further keywords."""

    model_config = ConfigDict(extra="allow")


def patch_flow_run_starter(start_process: StartProcess) -> None:
    """Make every runner of this process start flow runs with the given function.

    Prefect's `DirectSubprocessStarter` documents this replacement: "patch the module to override".
    """
    if not _is_supported("runs start in spawned processes, which takes seconds"):
        return
    try:
        from prefect.runner import _starter_direct  # noqa: PLC0415  # a private module, which may move
    except ImportError:
        logger.warning("Prefect has no prefect.runner._starter_direct: runs start in spawned processes")
        return
    _starter_direct.run_flow_in_subprocess = start_process  # type: ignore[assignment, attr-defined]


def patch_runner_requests() -> None:
    """Keep the runners of this process alive if the Prefect API cannot return a run."""
    if not _is_supported("a run that the Prefect API cannot return ends the runner"):
        return
    try:
        from prefect.runner import Runner  # noqa: PLC0415  # most processes run no runner

        cancel_run = Runner._cancel_run  # noqa: SLF001  # Prefect has no public name for it
        read_scheduled = PrefectClient.get_scheduled_flow_runs_for_deployments
    except (ImportError, AttributeError):
        logger.warning("Prefect has another runner: a run that its API cannot return ends the runner")
        return

    async def cancel_or_log(runner: Runner, flow_run: FlowRun | UUID, state_msg: str | None = None) -> None:
        try:
            await cancel_run(runner, flow_run, state_msg)
        except Exception as error:  # noqa: BLE001  # any error here would end the runner with all its runs
            run_id = flow_run if isinstance(flow_run, UUID) else flow_run.id
            logger.warning("the process of the cancelled run %s was not stopped: %s", run_id, error)

    scheduled_runs = ScheduledRuns(read_scheduled)

    async def poll(client: PrefectClient, deployment_ids: list[UUID], scheduled_before: datetime) -> list[FlowRun]:
        return await scheduled_runs.poll(client, deployment_ids, scheduled_before)

    Runner._cancel_run = cancel_or_log  # type: ignore[method-assign, assignment]  # noqa: SLF001  # the same
    PrefectClient.get_scheduled_flow_runs_for_deployments = poll  # type: ignore[method-assign, assignment]  # without the limit, which no runner sets


def _is_supported(consequence: str) -> bool:
    if prefect.__version__.startswith(PATCHED_VERSION):
        return True
    logger.warning(
        "Prefect %s is not patched, because only %sx is supported: %s",
        prefect.__version__,
        PATCHED_VERSION,
        consequence,
    )
    return False


def _redacted_format_exception(error: BaseException, trace: TracebackType | None = None) -> str:
    text = redact_report(_format_exception(error, trace), error)  # type: ignore[misc]  # patched only if it exists
    return shorten(visible_lines(text), MAX_STATE_MESSAGE_CHARACTERS)


async def _handle_crash_of_recorded_task(
    engine: task_engine.AsyncTaskRunEngine[Any, Any], error: BaseException
) -> None:
    """Run Prefect's method only if there is a record; the engine then raises `error` in both cases."""
    if engine.task_run is not None:
        await _handle_crash(engine, error)  # type: ignore[misc]  # patched only if it exists
