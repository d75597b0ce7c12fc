"""The flow `provision-batch`: every row of a manifest, all the way to its recorded outcome."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from pydantic import Field

from flows.batch import Batch, onlooker
from flows.final_state import state_of_batch, state_of_error
from flows.run_facts import driver
from flows.waiting import patience_seconds
from models.errors import AvatarsError, InvalidManifest
from models.manifest import ManifestRow, read_rows
from tasks.options import FLOW
from tasks.publish_batch import shown
from tasks.read_manifest import read_manifest
from tasks.runtime import runtime

AT_ONCE = 20


@flow(name="provision-batch", **FLOW)
async def provision_batch(
    manifest: str | None = None,
    rows: list[Any] | None = None,
    *,
    dry_run: bool = False,
    wait: Literal["hold", "none"] = "hold",
    concurrency: Annotated[int, Field(ge=1, le=1000)] = AT_ONCE,
) -> State:
    """Provision every row of a manifest; run again with the same one, it attaches and goes on.

    A row that breaks a rule, or is refused, stops no other. Ends Completed "Ready" if every row is READY, else
    Failed, named after the most frequent other outcome.

    Args:
        manifest: Path on the machine that runs this, or https URL, of a CSV, JSONL or YAML file.
        rows: The rows themselves, instead; all parameters together may hold 512 KiB.
        dry_run: Check everything, the videos too, and send nothing.
        wait: hold: the process stays until every training has ended. none: it ends after the creates, and
            reconcile sees the avatars through.
        concurrency: How many rows are checked and created at a time; how many train is not bounded.

    """
    me = driver("provision-batch")
    try:
        found = await _rows(manifest, rows)
        async with runtime() as active:
            batch = Batch(
                active,
                found,
                me,
                patience_seconds=patience_seconds(wait),
                concurrency=concurrency,
                dry_run=dry_run,
            )
            if (look := onlooker.get()) is not None:
                look(batch.tally)
            async with shown(batch.tally, str(flow_run.id), active.clock.monotonic):
                await batch.run()
    except AvatarsError as error:
        return state_of_error(error)
    if batch.stopped_by is not None:
        return state_of_error(batch.stopped_by)
    return state_of_batch(batch.tally, dry_run=dry_run)


async def _rows(manifest: str | None, rows: list[Any] | None) -> list[ManifestRow]:
    if (manifest is None) == (rows is None):
        raise InvalidManifest("give either a manifest or rows", hint="a path or https URL, or a list of requests")
    return read_rows(rows) if rows is not None else await read_manifest(manifest or "")
