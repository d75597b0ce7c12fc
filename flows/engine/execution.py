"""Execution strategies: how the state machine calls tasks and branches, and how it limits concurrency."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, ParamSpec, TypeVar

from prefect import Flow, Task
from prefect.client.schemas.objects import State

from models.provisioning import Provisioning
from services.runs.housekeeping import keep_house
from tasks.publish_artifact import publish_artifact
from tasks.resolve_submission import LOOKUP_TIMEOUT_SECONDS

P = ParamSpec("P")
R = TypeVar("R")
Branch = Flow[[list[str]], Coroutine[Any, Any, State]]


async def _publish(provisioning_id: str) -> int:
    await publish_artifact.fn(provisioning_id)
    return 1


class ExecutionStrategy:
    """Strategy for a flow run with one provisioning.

    Each step is a task run and each branch a subflow. Concurrency is not limited.
    """

    lookup_patience_seconds = LOOKUP_TIMEOUT_SECONDS
    """How long the lookup of a submission goes on while Argil fails."""

    def as_callable(self, task: Task[P, R]) -> Callable[P, R]:
        """Return a callable that runs the task. Here it is the task itself, and a call creates a task run."""
        return task

    async def run_branch(self, flow: Branch, provisioning_id: str) -> None:
        """Run a branch flow for this provisioning and return when it has finished."""
        await flow([provisioning_id])

    async def publish_outcome(self, provisioning_id: str) -> None:
        """Publish the outcome as an artifact in the Prefect UI."""
        await publish_artifact(provisioning_id)

    async def publish_start(self, provisioning: Provisioning) -> None:
        """Publish a provisioning when the work on it begins, so that the run has an artifact from the start."""
        await self.publish_progress(provisioning)

    async def publish_progress(self, provisioning: Provisioning) -> None:
        """Publish a provisioning that is not terminal; a failure of Prefect is logged and changes nothing.

        Called after each change of the status, and after a new operational error. It is not a task run: the graph
        of the run shows the steps.
        """
        await keep_house(partial(_publish, provisioning.id), "the artifact was not published")

    async def acquire_slot(self) -> None:
        """Wait for a concurrency slot, unless this provisioning has one. Here: do nothing."""

    def release_slot(self) -> None:
        """Release the concurrency slot, since this provisioning only waits now. Here: do nothing."""

    def on_lease_wait(self) -> None:
        """Release the slot, since another owner holds the lease and this provisioning waits for it."""
        self.release_slot()

    def on_checked(self, provisioning: Provisioning) -> None:
        """Handle a provisioning whose recordings passed the checks, before its submission. Here: do nothing."""

    def on_status_change(self, provisioning: Provisioning) -> None:
        """Handle the current provisioning; called before the first step and after each change of its status."""


class InlineExecution(ExecutionStrategy):
    """Strategy for a flow run with many provisionings: steps are plain calls without task runs of their own."""

    def as_callable(self, task: Task[P, R]) -> Callable[P, R]:
        """Return the undecorated function of the task."""
        return task.fn

    async def publish_outcome(self, provisioning_id: str) -> None:
        """Do nothing: a batch publishes one table of all its rows."""

    async def publish_progress(self, provisioning: Provisioning) -> None:
        """Do nothing, as above."""


TASK_RUN_EXECUTION = ExecutionStrategy()
"""The strategy of a flow run with one provisioning; it has no state and is shared."""
