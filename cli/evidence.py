"""`avatars evidence` and `avatars forget`: what an auditor is handed, and what a person has removed."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated, Any

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from cli.console import print_json, result, say
from models.clock import SystemClock
from models.errors import StaleVersion
from models.evidence import evidence_document
from models.forgetting import Remains
from models.outcomes import EXIT_OK
from models.provisioning import Driver
from models.settings import Settings
from store.evidence import evidence as read_evidence
from tasks.forget import forget as remove
from tasks.runtime import open_store

Json = Annotated[bool, Parameter(negative=())]


def evidence(provisioning: str, /, *, json: Json = False) -> int:
    """Tell what was submitted: both recordings by digest, size and ETag, what was found in them, when and by whom.

    Parameters
    ----------
    provisioning
        Its id or reference.
    json
        Print one JSON document on stdout and nothing else.

    """

    async def read() -> dict[str, Any]:
        async with open_store(Settings.load(), SystemClock()) as (ledger, _, _):
            one = await ledger.get(provisioning)
            records = await read_evidence(ledger.database, one.id)
            return evidence_document(one, await ledger.submissions(one.id), records)

    document = asyncio.run(read())
    if json:
        print_json(document)
    else:
        _print(document)
    return EXIT_OK


def _print(document: dict[str, Any]) -> None:
    result.print(f"provisioning {document['id']}, reference {document['reference']}", markup=False, soft_wrap=True)
    for record in document["evidence"]:
        table = Table("", "Dataset video", "Consent video", title=f"Submission {record['submission_id']}")
        for field in ("identity", "identity_sha256", "etag", "size_bytes", "sha256", "facts"):
            table.add_row(field, *(escape(str(record[role][field])) for role in ("dataset", "consent")))
        result.print(table)
        run = f", flow run {record['flow_run_id']}" if record["flow_run_id"] else ""
        told = f"  {record['at']} by {record['actor']}{run}: {record['state']}, avatar {record['avatar_id']}"
        result.print(told, markup=False, soft_wrap=True)
    if not document["evidence"]:
        say("nothing was submitted")


def forget(provisioning: str, /, *, json: Json = False) -> int:
    """Remove a person's name, URLs and extras from the ledger; tells what remains elsewhere, to be removed there.

    Parameters
    ----------
    provisioning
        The id or reference of a provisioning that has ended.
    json
        Print one JSON document on stdout and nothing else.

    """
    remains = asyncio.run(_forget(provisioning))
    if json:
        print_json({"forgotten": True, **remains.model_dump(), "steps": remains.steps})
    else:
        result.print("forgotten in the ledger; still to be done:")
        for step in remains.steps:
            result.print(f"  - {step}", markup=False, soft_wrap=True)
    return EXIT_OK


async def _forget(key: str) -> Remains:
    driver = Driver(actor="forget", id=str(uuid.uuid4()))
    clock = SystemClock()
    async with open_store(Settings.load(), clock) as (ledger, _, _):
        while True:
            try:
                return await remove(ledger, clock, key, driver)
            except StaleVersion:
                continue  # somebody wrote in between: decide on what is there now
