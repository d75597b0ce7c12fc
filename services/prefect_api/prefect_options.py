"""Options that all tasks and all flows share."""

from __future__ import annotations

from typing import TypedDict

from prefect.cache_policies import NO_CACHE, CachePolicy


class TaskOptions(TypedDict):
    """Options of every task."""

    cache_policy: CachePolicy
    persist_result: bool


class FlowOptions(TypedDict):
    """Options of every flow."""

    persist_result: bool


# The ledger is the source of truth: a cached read of the ledger or of Argil would be stale. Persisted results would
# contain URLs (docs/adr/0002-no-result-cache.md).
TASK_OPTIONS: TaskOptions = {"cache_policy": NO_CACHE, "persist_result": False}
# No flow-level retries: interrupted work is recovered from the ledger (docs/adr/0003-no-flow-retries.md).
FLOW_OPTIONS: FlowOptions = {"persist_result": False}
