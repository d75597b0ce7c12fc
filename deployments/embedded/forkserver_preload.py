"""Imported by the fork server, once: what every run needs, in memory that the forks share.

A fork shares a page until it writes to it. So this does what a run would otherwise import or build itself, and then
exempts everything from garbage collections, which write to each object that they examine.
"""

from __future__ import annotations

import gc
import warnings
from importlib import import_module

from prefect.client.schemas.objects import FlowRun, TaskRun

MODULES = (
    "deployments.catalog",
    "deployments.embedded.forkserver_runner",
    "deployments.embedded.runner_process",
    "prefect.flow_engine",
    "prefect.utilities.visualization",
    "anyio._backends._asyncio",
    "encodings.idna",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "sqlalchemy.dialects.sqlite.pysqlite",
)
"""The flows; the main module, which each fork imports; what libraries import when it is needed."""

for name in MODULES:
    import_module(name)
for model in (FlowRun, TaskRun):
    model.model_rebuild()  # Prefect builds them at their first use
# Each fork executes the main module once more, although it is imported.
warnings.filterwarnings(
    "ignore", message=r"'deployments\.embedded\.\w+' found in sys\.modules", category=RuntimeWarning
)
gc.collect()
gc.freeze()
