"""`avatars list`, `show` and `release`: what the ledger tells, without Prefect."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from cli.console import print_json, result, say
from cli.tables import print_history, print_outcome, print_provisionings
from models.clock import SystemClock
from models.document import document, full_document
from models.outcomes import EXIT_OK
from models.provisioning import Status
from models.resolution import resolutions
from models.settings import Settings
from tasks.runtime import open_store

Json = Annotated[bool, Parameter(negative=())]
DEFAULT_LIMIT = 200


def list_provisionings(*, status: Status | None = None, limit: int = DEFAULT_LIMIT, json: Json = False) -> int:
    """List provisionings, newest first.

    Parameters
    ----------
    status
        Only those that stand there.
    limit
        At most this many.
    json
        Print one JSON array on stdout and nothing else.

    """

    async def read() -> None:
        async with open_store(Settings.load(), SystemClock()) as (ledger, _, _):
            found = await ledger.newest(status, limit)
            submissions = await ledger.submissions_of([one.id for one in found])
        if json:
            print_json([document(one, submissions[one.id]) for one in found])
        else:
            print_provisionings(found)
            if len(found) == limit:
                say(f"only the newest {limit} are shown: --limit shows more")

    asyncio.run(read())
    return EXIT_OK


def show(provisioning: str, /, *, json: Json = False) -> int:
    """Show one provisioning with everything that happened to it, and what became of each create.

    Parameters
    ----------
    provisioning
        Its id or reference.
    json
        Print one JSON document on stdout and nothing else.

    """

    async def read() -> None:
        async with open_store(Settings.load(), SystemClock()) as (ledger, _, _):
            one = await ledger.get(provisioning)
            events = await ledger.events(one.id)
            submissions = await ledger.submissions(one.id)
            resolved = resolutions(submissions, events, await ledger.duplicates(one.id))
        if json:
            print_json(full_document(one, submissions, events, resolved))
        else:
            print_outcome(one)
            print_history(events, submissions, resolved)

    asyncio.run(read())
    return EXIT_OK


def release(provisioning: str, /, *, why: str) -> int:
    """Let the recordings of a refused avatar in again, after a person has reviewed them.

    Parameters
    ----------
    provisioning
        The refused one's id or reference.
    why
        Who decided, and on what grounds; it is recorded.

    """

    async def write() -> Sequence[str]:
        async with open_store(Settings.load(), SystemClock()) as (ledger, _, quarantine):
            one = await ledger.get(provisioning)
            return await quarantine.release(one.id, why)

    released = asyncio.run(write())
    for identity in released:
        result.print(f"released {identity}", markup=False, soft_wrap=True)
    if not released:
        say("nothing of this provisioning is in quarantine")
    return EXIT_OK
