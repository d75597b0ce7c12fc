"""What all our tasks and flows have in common for Prefect."""

from __future__ import annotations

from typing import TypedDict

from prefect.cache_policies import NO_CACHE, CachePolicy

from tasks.redacted_output import redact_output
from tasks.redacted_states import redact_states

# Here, since whoever starts a run of ours, a worker or a runner, imports its flow and little else of this project.
redact_output()
redact_states()


class TaskOptions(TypedDict):
    """Options of every task."""

    cache_policy: CachePolicy
    persist_result: bool


class FlowOptions(TypedDict):
    """Options of every flow."""

    persist_result: bool


# The ledger is the truth: a cached read of it, or of Argil, would be a lie. And results on disk would hold URLs.
TASK: TaskOptions = {"cache_policy": NO_CACHE, "persist_result": False}
# No flow-level retries: Prefect can strand such a run in AwaitingRetry when its process is gone (PrefectHQ/prefect
# issue 22847); what a dead run leaves is taken up from the ledger.
FLOW: FlowOptions = {"persist_result": False}
