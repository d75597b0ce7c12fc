"""`avatars list`: a page of the ledger. It imports neither Prefect nor, for a SQLite ledger, SQLAlchemy."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.console import has_styles, print_json, print_line, print_status
from cli.options import JsonFlag
from models.errors import InvalidRequest
from models.exit_codes import EXIT_OK
from models.json_views import provisioning_summary
from models.provisioning import Provisioning, Status
from models.settings import Settings
from services.listing import list_latest_page
from store.latest_page import LatestPage

DEFAULT_LIMIT = 200
MAX_LIMIT = 10_000
_STATUS_WIDTH = max(map(len, Status))


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

    listed = list_latest_page(
        Settings.load(), LatestPage(limit + 1, status or (), created_since, created_until), after
    )
    page = listed[:limit]
    if json:
        print_json([provisioning_summary(*item) for item in page])
    else:
        _print_provisionings([provisioning for provisioning, _ in page])
    if len(listed) > limit:
        options: list[tuple[str, str]] = [("--status", value) for value in status or ()]
        options += [(f"--{name}", value) for name, value in (("since", since), ("until", until)) if value]
        options += [("--limit", str(limit)), ("--after", page[-1][0].id)]
        print_status(f"next page: {shlex.join(['avatars', 'list', *chain.from_iterable(options)])}")
    return EXIT_OK


def _print_provisionings(provisionings: Sequence[Provisioning]) -> None:
    """Print a table on a terminal; otherwise one line per provisioning, and one per reason below it."""
    if has_styles(sys.stdout):
        from cli.rendering import print_table_of_provisionings  # imports Rich

        print_table_of_provisionings(provisionings)
        return
    for provisioning in provisionings:
        print_line(f"{provisioning.status:<{_STATUS_WIDTH}}  {provisioning.id}  {provisioning.name}")
        for reason in provisioning.reasons:
            print_line(f"  {reason.code}: {reason.message}")


def _parse_moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise InvalidRequest(
            [(option, f"{text!r} is not in the years 1 to 9999 in UTC")], hint="leave the option out"
        ) from None
    except ValueError:
        raise InvalidRequest(
            [(option, f"{text!r} is not an ISO 8601 date or time")],
            hint="write 2026-11-23, 2026-11-23T09:00 or 2026-11-23T09:00+01:00; the default zone is UTC",
        ) from None
