"""Starts the process of each run as a fork of one that has imported everything: in milliseconds, not in seconds.

A run that sleeps is a process each time it wakes, and a schedule's tick is one too: what starting costs decides how
soon a webhook is acted upon, and how many runs a machine bears.
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
from prefect.runner import _starter_direct

from deployments.prefect_api import send_what_waits

_METHOD: Final = "forkserver"
_IMPORTED_BEFOREHAND = ("deployments.catalog", "deployments.preloaded", "prefect.flow_engine")


def start_runs_preloaded() -> None:
    """Have every runner of this process start the runs of the flows added to it so.

    Does nothing where the system has no such processes: runs start as a runner starts them by itself. The function
    replaced is the one that Prefect's starter names as the place to do so.
    """
    if _METHOD in multiprocessing.get_all_start_methods():
        multiprocessing.get_context(_METHOD).set_forkserver_preload([*_IMPORTED_BEFOREHAND])
        _starter_direct.run_flow_in_subprocess = _start  # type: ignore[assignment, attr-defined]


def _start(flow: Flow[..., Any], flow_run: FlowRun, env: Mapping[str, str | None]) -> BaseProcess:
    """Start the process of one run; `env` is what Prefect's runner wants it to know."""
    environment = {
        **{name: value for name, value in env.items() if value is not None},
        "PREFECT__FLOW_RUN_ID": str(flow_run.id),
        "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",  # the runner calls them
    }
    process = multiprocessing.get_context(_METHOD).Process(target=_run, args=(environment,), name=flow.name)
    process.start()
    return process


def _run(environment: Mapping[str, str]) -> None:
    """Be what a runner starts: Prefect's engine, told by the environment which run it is for."""
    os.environ.update(environment)
    sys.argv = ["prefect.engine"]
    # That it is imported already is the point; without this each run would tell so on the terminal.
    warnings.filterwarnings("ignore", message="'prefect.engine' found in sys.modules", category=RuntimeWarning)
    try:
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)
    finally:
        send_what_waits()  # a fork ends without the interpreter's own farewell, which would do it
