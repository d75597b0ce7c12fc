"""Starts each flow run as a fork of a process that has imported everything, in milliseconds instead of seconds.

The start-up cost decides how fast a webhook takes effect and how many runs a machine can serve
(docs/adr/0006-forkserver-runs.md).
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
import warnings
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from typing import Any, Final

from prefect import Flow
from prefect.client.schemas.objects import FlowRun

from deployments.embedded.prefect_session import flush_telemetry
from services.prefect_api.prefect_patches import install_hooks, patch_flow_run_starter

_METHOD: Final = "forkserver"
_PRELOAD_MODULE = "deployments.embedded.forkserver_preload"


def use_forkserver() -> None:
    """Make every runner of this process start the runs of its flows by forking a preloaded process.

    Does nothing on systems without a fork server; there Prefect's default start method is used.
    """
    if _METHOD in multiprocessing.get_all_start_methods():
        multiprocessing.get_context(_METHOD).set_forkserver_preload([_PRELOAD_MODULE])
        patch_flow_run_starter(_start_process)


def _start_process(flow: Flow[..., Any], flow_run: FlowRun, env: Mapping[str, str | None]) -> BaseProcess:
    """Start the process of one run; `env` holds the variables that Prefect's runner sets for it."""
    environment = {
        **{name: value for name, value in env.items() if value is not None},
        "PREFECT__FLOW_RUN_ID": str(flow_run.id),
        # Otherwise the engine loads the deployment's entrypoint and runs its pull steps: API callers set both.
        "PREFECT__FLOW_ENTRYPOINT": f"{flow.fn.__module__}.{flow.fn.__name__}",
        "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",  # the runner calls them
    }
    process = multiprocessing.get_context(_METHOD).Process(target=_run_engine, args=(environment,), name=flow.name)
    process.start()
    return process


def _run_engine(environment: Mapping[str, str]) -> None:
    """Run Prefect's engine in this process, for the run that the environment names."""
    os.environ.update(environment)
    install_hooks()
    sys.argv = ["prefect.engine"]
    # The engine is imported on purpose; without this filter each run would print this warning.
    warnings.filterwarnings("ignore", message="'prefect.engine' found in sys.modules", category=RuntimeWarning)
    try:
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
    finally:
        flush_telemetry()  # a forked process ends without the atexit handlers that would do this
