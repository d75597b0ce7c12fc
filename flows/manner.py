"""How an avatar is driven: what of it Prefect is shown, and whose turn it is."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from prefect import Flow, Task
from prefect.client.schemas.objects import State

from models.provisioning import Provisioning
from tasks.publish_outcome import publish_artifact

P = ParamSpec("P")
R = TypeVar("R")
Branch = Flow[[list[str]], Coroutine[Any, Any, State]]


class Manner:
    """One avatar in a run of its own: each step is a task run, each branch a subflow, and no turn is waited for."""

    def step(self, task: Task[P, R]) -> Callable[P, R]:
        """Return how to call a task."""
        return task

    async def branch(self, flow: Branch, provisioning_id: str) -> None:
        """Have a branch work on this avatar."""
        await flow([provisioning_id])

    async def publish(self, provisioning_id: str) -> None:
        """Show the outcome in the Prefect UI."""
        await publish_artifact(provisioning_id)

    async def begin_work(self) -> None:
        """Wait until this avatar may be checked and created; it may be called again meanwhile."""

    def begin_wait(self) -> None:
        """Let others have their turn: from here on there is only waiting."""

    def moved(self, provisioning: Provisioning) -> None:
        """Hear where the provisioning stands."""


class InOneTask(Manner):
    """One avatar of many in a run: its steps are plain calls inside of a task run that they share."""

    def step(self, task: Task[P, R]) -> Callable[P, R]:
        """Return the task's own function."""
        return task.fn

    async def publish(self, provisioning_id: str) -> None:
        """Show nothing: who drives many shows them in one table."""


ALONE = Manner()
