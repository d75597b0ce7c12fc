"""`avatars list`, `show` and `release`: what the ledger tells, without Prefect."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.console import print_json, result, say
from cli.tables import print_history, print_outcome, print_provisionings
from models.clock import SystemClock
from models.document import document, full_document
from models.errors import InvalidRequest
from models.outcomes import EXIT_OK
from models.provisioning import Status
from models.resolution import resolutions
from models.settings import Settings
from tasks.runtime import open_store

Json = Annotated[bool, Parameter(negative=())]
DEFAULT_LIMIT = 200
MAX_LIMIT = 10_000


def list_provisionings(
    *,
    status: Annotated[list[Status] | None, Parameter(negative=())] = None,
    since: str | None = None,
    until: str | None = None,
    after: str | None = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=MAX_LIMIT))] = DEFAULT_LIMIT,
    json: Json = False,
) -> int:
    """List provisionings, newest first, a page at a time.

    Parameters
    ----------
    status
        Only those that stand there; may be given several times.
    since
        Only those created at or after this: a day, or a moment in ISO 8601; UTC where no zone is given.
    until
        Only those created before this.
    after
        The id of the last one of the page before: go on from there.
    limit
        At most this many, the size of a page.
    json
        Print one JSON array on stdout and nothing else.

    """
    created_since, created_until = _moment("since", since), _moment("until", until)

    async def read() -> None:
        async with open_store(Settings.load(), SystemClock()) as (ledger, _, _):
            found = await ledger.page(
                limit + 1,
                statuses=status or (),
                since=created_since,
                until=created_until,
                after=await ledger.get(after) if after else None,
            )
            page = found[:limit]
            submissions = await ledger.submissions_of([one.id for one in page])
        if json:
            print_json([document(one, submissions[one.id]) for one in page])
        else:
            print_provisionings(page)
        if len(found) > limit:
            options = [f"--status {one}" for one in status or ()]
            options += [f"--{name} {value}" for name, value in (("since", since), ("until", until)) if value]
            told = " ".join(["avatars list", *options, f"--limit {limit}", f"--after {page[-1].id}"])
            say(f"there are more: {told}")

    asyncio.run(read())
    return EXIT_OK


def _moment(option: str, text: str | None) -> datetime | None:
    try:
        moment = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            [(option, f"{text!r} is neither a day nor a moment")],
            hint="as 2026-11-23, 2026-11-23T09:00 or 2026-11-23T09:00+01:00; UTC where no zone is given",
        ) from None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


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
