"""Reads the ledger page by page within the budget of a tick, and continues in the next tick where it stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from models.errors import UnknownProvisioning
from models.provisioning import Provisioning, Status
from services.context import AppContext
from services.ticks import Tick

PageReader = Callable[[Provisioning | None], Awaitable[list[Provisioning]]]
"""Reads the page of the ledger after a provisioning, or the first page."""


@dataclass(frozen=True)
class Stage:
    """The provisionings of one status: how to read a page, and which of a page need work."""

    status: Status
    read_page: PageReader
    select: Callable[[list[Provisioning]], Awaitable[list[Provisioning]]]


async def iter_stages(
    context: AppContext, stages: Sequence[Stage], tick: Tick
) -> AsyncIterator[list[Provisioning]]:
    """Yield the selected provisionings of each page, beginning where the previous tick stopped.

    The caller works on a page before the next one is read. At least one page is yielded, so each tick advances.
    Afterwards `tick.position` is None if nothing of the ledger is left. If the caller fails at a page, the next
    tick begins after it, so that a defect of one provisioning does not hide all later ones. If an outage of Argil
    begins in the middle of a page, the next tick begins with this page.
    """
    first, after = await _find_start(context, stages, tick.position)
    has_yielded = False
    for stage in stages[first:]:
        while page := await stage.read_page(after):
            if has_yielded and tick.is_over:
                tick.position = _position(stage, after)
                tick.note = tick.note or "the rest is left to the next run"
                return
            start = _position(stage, after)
            selected = await stage.select(page)
            has_yielded, after = True, tick.stopped_after or page[-1]
            tick.position = _position(stage, after)
            yield selected
            if tick.is_interrupted:
                tick.position = start
                return
        after = None
    tick.position = None


def _position(stage: Stage, after: Provisioning | None) -> str:
    return f"{stage.status} {after.id if after else ''}"


async def _find_start(
    context: AppContext, stages: Sequence[Stage], position: str | None
) -> tuple[int, Provisioning | None]:
    """Return the index of the stage and the provisioning after which to begin; the beginning if it is unknown."""
    status, _, provisioning_id = (position or "").partition(" ")
    for index, stage in enumerate(stages):
        if stage.status == status:
            if not provisioning_id:
                return index, None
            try:
                return index, await context.ledger.get(provisioning_id)
            except UnknownProvisioning:
                break
    return 0, None
