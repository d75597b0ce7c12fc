"""`avatars list`, `show` and `release`: read and change the ledger without Prefect."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.console import print_json, print_line, print_status
from cli.options import JsonFlag, ProvisioningKey
from cli.rendering import print_history, print_outcome, print_provisionings
from models.clock import SystemClock
from models.errors import InvalidRequest
from models.exit_codes import EXIT_OK
from models.json_views import provisioning_detail, provisioning_summary
from models.provisioning import Status
from models.settings import Settings
from models.submission_resolution import resolve_submissions
from services.store import open_store

DEFAULT_LIMIT = 200
MAX_LIMIT = 10_000


def list_provisionings(
    *,
    status: Annotated[list[Status] | None, Parameter(negative=())] = None,
    since: str | None = None,
    until: str | None = None,
    after: str | None = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=MAX_LIMIT))] = DEFAULT_LIMIT,
    json: JsonFlag = False,
) -> int:
    """List provisionings, newest first, one page at a time.

    Args:
        status: Only provisionings with this status; can be repeated.
        since: Only provisionings created at or after this ISO 8601 date or time (UTC by default).
        until: Only provisionings created before this ISO 8601 date or time (UTC by default).
        after: Id of the last provisioning of the previous page.
        limit: Page size.

    """
    created_since, created_until = _parse_moment("since", since), _parse_moment("until", until)

    async def read() -> None:
        async with open_store(Settings.load(), SystemClock()) as store:
            provisionings = await store.ledger.list_page(
                limit + 1,
                statuses=status or (),
                since=created_since,
                until=created_until,
                after=await store.ledger.get(after) if after else None,
            )
            page = provisionings[:limit]
            submissions = await store.ledger.list_submissions_by_provisioning([item.id for item in page])
        if json:
            print_json([provisioning_summary(item, submissions[item.id]) for item in page])
        else:
            print_provisionings(page)
        if len(provisionings) > limit:
            options = [f"--status {value}" for value in status or ()]
            options += [f"--{name} {value}" for name, value in (("since", since), ("until", until)) if value]
            command = " ".join(["avatars list", *options, f"--limit {limit}", f"--after {page[-1].id}"])
            print_status(f"next page: {command}")

    asyncio.run(read())
    return EXIT_OK


def _parse_moment(option: str, text: str | None) -> datetime | None:
    try:
        moment = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(
            [(option, f"{text!r} is not an ISO 8601 date or time")],
            hint="write 2026-11-23, 2026-11-23T09:00 or 2026-11-23T09:00+01:00; the default zone is UTC",
        ) from None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def show(provisioning: ProvisioningKey, /, *, json: JsonFlag = False) -> int:
    """Show one provisioning with its history and its submissions."""

    async def read() -> None:
        async with open_store(Settings.load(), SystemClock()) as store:
            stored = await store.ledger.get(provisioning)
            events = await store.ledger.list_events(stored.id)
            submissions = await store.ledger.list_submissions(stored.id)
            resolved = resolve_submissions(submissions, events, await store.ledger.list_duplicates(stored.id))
        if json:
            print_json(provisioning_detail(stored, submissions, events, resolved))
        else:
            print_outcome(stored)
            print_history(events, submissions, resolved)

    asyncio.run(read())
    return EXIT_OK


def release(provisioning: ProvisioningKey, /, *, reason: str) -> int:
    """Release the videos of a refused avatar from quarantine.

    Args:
        reason: Who decided and why; it is recorded in the ledger.

    """

    async def write() -> Sequence[str]:
        async with open_store(Settings.load(), SystemClock()) as store:
            stored = await store.ledger.get(provisioning)
            return await store.quarantine.release(stored.id, reason)

    released = asyncio.run(write())
    for identity in released:
        print_line(f"released {identity}")
    if not released:
        print_status("no video of this provisioning is in quarantine")
    return EXIT_OK
