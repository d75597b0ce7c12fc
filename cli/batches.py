"""`avatars batches`: the batches on record, newest first. It does not import Prefect."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.console import has_styles, print_json, print_line, print_status
from cli.options import JsonFlag
from models.batch_record import BatchRecord
from models.clock import SystemClock
from models.exit_codes import EXIT_OK
from models.provisioning import Status
from models.reports.json_views import batch_summary
from models.settings import Settings
from models.text.plural import counted
from services.store import open_store

DEFAULT_LIMIT = 20
MAX_LIMIT = 1000
START = "no batches yet: `avatars batch MANIFEST` starts one"
ROWS = "(rows)"
"""Shown for a batch whose rows were passed as a list."""

ListedBatch = tuple[BatchRecord, Mapping[Status, int]]


def batches(
    *,
    after: str | None = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=MAX_LIMIT))] = DEFAULT_LIMIT,
    json: JsonFlag = False,
) -> int:
    """List batches, newest first, with the statuses of their provisionings.

    A provisioning counts for the batch that took it last.

    Args:
        after: Id of the last batch of the previous page.
        limit: Page size.

    """
    listed = asyncio.run(_list(limit + 1, after))
    page = listed[:limit]
    if json:
        print_json([batch_summary(*item) for item in page])
    else:
        _print(page, START if after is None else "no further batches")
    if len(listed) > limit:
        command = ["avatars", "batches", "--limit", str(limit), "--after", page[-1][0].id]
        print_status(f"next page: {shlex.join(command)}")
    return EXIT_OK


async def _list(limit: int, after: str | None) -> list[ListedBatch]:
    async with open_store(Settings.load(), SystemClock()) as store:
        last = None if after is None else await store.batches.get(after)
        page = await store.batches.list_page(limit, last)
        counts = await store.batches.count_by_status([batch.id for batch in page])
    return [(batch, counts[batch.id]) for batch in page]


def _print(page: Sequence[ListedBatch], nothing: str) -> None:
    """Print three lines per batch on a terminal, otherwise one; `nothing` if there is none."""
    rows = [_cells(batch, counts) for batch, counts in page]
    if not rows:
        print_status(nothing)
    elif has_styles(sys.stdout):
        from cli.rendering import print_list_of_batches  # imports Rich

        print_list_of_batches(rows)
    else:
        for cells in rows:
            print_line("  ".join(cells))


def _cells(batch: BatchRecord, counts: Mapping[Status, int]) -> tuple[str, str, str, str, str]:
    """Return id, start, manifest, caller, and the number of rows, of invalid ones and of those per status."""
    per_status = {"INVALID": batch.invalid_count, **{status.value: count for status, count in counts.items()}}
    others = batch.row_count - sum(per_status.values())
    texts = [f"{count} {status}" for status, count in per_status.items() if count]
    # Not recorded: the batch runs or was stopped. Or a later batch took them.
    texts += [f"{others} taken by a later batch or not recorded"] if others > 0 else []
    summary = f"{counted(batch.row_count, 'row')}: {', '.join(texts)}"
    summary += ("; cancelled" if batch.cancelled_at else "") + ("" if batch.ended_at else "; not ended")
    started_at = f"{batch.started_at:%Y-%m-%d %H:%M:%S}"
    return batch.id, started_at, batch.manifest or ROWS, batch.started_by, summary
