"""Execution strategies: how the state machine calls tasks and branches, and how it limits concurrency."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from prefect import Flow, Task
from prefect.client.schemas.objects import State

from models.provisioning import Provisioning
from tasks.publish_artifact import publish_artifact

P = ParamSpec("P")
R = TypeVar("R")
Branch = Flow[[list[str]], Coroutine[Any, Any, State]]


class ExecutionStrategy:
    """Strategy for one provisioning per flow run.

    Each step is a task run and each branch a subflow. Concurrency is not limited.
    """

    def as_callable(self, task: Task[P, R]) -> Callable[P, R]:
        """Return the function that runs a task; here the task itself, which creates a task run."""
        return task

    async def run_branch(self, flow: Branch, provisioning_id: str) -> None:
        """Run a branch flow for this provisioning and return when it has finished."""
        await flow([provisioning_id])

    async def publish_outcome(self, provisioning_id: str) -> None:
        """Publish the outcome as an artifact in the Prefect UI."""
        await publish_artifact(provisioning_id)

    async def acquire_slot(self) -> None:
        """Wait for a slot to check and submit this provisioning; does nothing if it has a slot."""

    def release_slot(self) -> None:
        """Give the slot back; this provisioning only waits from here on."""

    def on_status_change(self, provisioning: Provisioning) -> None:
        """Receive the provisioning when it is leased and after each change of its status."""


class InlineExecution(ExecutionStrategy):
    """Strategy for many provisionings per flow run: steps are plain calls inside the task run that they share."""

    def as_callable(self, task: Task[P, R]) -> Callable[P, R]:
        """Return the undecorated function of the task."""
        return task.fn

    async def publish_outcome(self, provisioning_id: str) -> None:
        """Publish nothing: a batch publishes its rows in one table."""


PER_RUN_EXECUTION = ExecutionStrategy()
