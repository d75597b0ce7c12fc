"""The part of `avatars erase` that needs Prefect; a module of its own, because importing Prefect takes a second."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from cli.console import print_status
from deployments.embedded.prefect_connection import can_store_blocks
from deployments.embedded.prefect_server import embedded_home
from deployments.embedded.prefect_session import ensure_prefect_api
from models.clock import SystemClock
from models.errors import PrefectError
from models.privacy.data_subject import DataSubject
from models.settings import Settings
from models.text.redaction import redact
from services.prefect_api.prefect_erasure import erase_in_prefect, search_prefect
from services.store import open_store
from store.compaction import compact_sqlite

DATABASE_NAME = "prefect.db"
LOG_NAME = "server.log"


def search_or_erase(subject: DataSubject, *, in_prefect: bool) -> dict[str, Any]:
    """Search Prefect for a person, and remove what was found if `in_prefect`.

    Returns:
        The fields of ErasureReport about Prefect.

    Raises:
        PrefectError: The Prefect API cannot be used, or none is configured and none was embedded before.
    """
    if not can_store_blocks():
        if not in_prefect and not subject.traces.flow_run_ids:
            return {}
        raise PrefectError("no Prefect API is configured", hint="set PREFECT_API_URL to that of the runs")
    with ensure_prefect_api(print_status):
        print_status("searching Prefect")
        try:
            fields, subject = asyncio.run(_run(subject, in_prefect=in_prefect))
        except httpx.HTTPError as error:
            reason = redact(str(error).partition("\n")[0]) or type(error).__name__
            raise PrefectError(
                f"the Prefect API failed: {reason}",
                hint="check it with `avatars doctor`, then run the same command again",
            ) from None
    return {**fields, "prefect_files": _erase_files(embedded_home(), subject) if in_prefect else []}


async def _run(subject: DataSubject, *, in_prefect: bool) -> tuple[dict[str, Any], DataSubject]:
    clock = SystemClock()
    async with open_store(Settings.load(), clock) as store:
        if in_prefect:
            found, remaining, subject = await erase_in_prefect(store.ledger, clock, subject, print_status)
        else:
            found, subject = await search_prefect(store.ledger, subject, print_status)
            remaining = found
    return {"prefect_found": found, "prefect_remaining": remaining}, subject


def _erase_files(home: Path, subject: DataSubject) -> list[str]:
    """Compact the database of the embedded server; return the places in its files that may still hold the data."""
    database, log = home / DATABASE_NAME, home / LOG_NAME
    remaining = compact_sqlite(database) if database.exists() else []
    if log.exists():
        with log.open(errors="replace") as lines:
            if any(subject.is_mentioned(line) for line in lines):
                remaining.append(f"{log} mentions it: delete the file while `avatars up` is stopped")
    return remaining
