"""`avatars list`: a page of the ledger. It imports neither Prefect nor, for a SQLite ledger, SQLAlchemy."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from cli.console import has_styles, print_csv, print_json, print_line, print_status
from cli.list_filters import ListFilters
from cli.options import JsonFlag
from models.errors import InvalidArguments
from models.exit_codes import EXIT_OK
from models.provisioning import Provisioning, Status
from models.reports.csv_views import PROVISIONING_COLUMNS, provisioning_cells
from models.reports.json_views import provisioning_summary
from models.settings import Settings
from services.listing import list_latest_page

DEFAULT_LIMIT = 200
MAX_LIMIT = 10_000
START = (
    "no provisionings yet: `avatars provision --help` explains the first one, `avatars demo` shows every outcome"
)
NO_MATCH = "no provisioning matches the options: `avatars list` without options lists all"
_STATUS_WIDTH = max(map(len, Status))


def list_provisionings(
    filters: ListFilters | None = None,
    *,
    after: str | None = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=MAX_LIMIT))] = DEFAULT_LIMIT,
    csv: Annotated[bool, Parameter(negative=())] = False,
    json: JsonFlag = False,
) -> int:
    """List provisionings, newest first, one page at a time.

    Args:
        filters: Which provisionings.
        after: Id of the last provisioning of the previous page.
        limit: Page size.
        csv: Print the page as CSV with a header line.

    """
    if csv and json:
        raise InvalidArguments("--csv and --json exclude each other", hint="omit one of them")
    filters = filters or ListFilters()
    listed = list_latest_page(Settings.load(), filters.page(limit + 1), after)
    page = listed[:limit]
    if json:
        print_json([provisioning_summary(*item) for item in page])
    elif csv:
        print_csv([PROVISIONING_COLUMNS, *(provisioning_cells(provisioning) for provisioning, _ in page)])
    else:
        nothing = START if after is None and filters == ListFilters() else NO_MATCH
        _print_provisionings([provisioning for provisioning, _ in page], filters, nothing)
    if len(listed) > limit:
        flags = ["--csv"] if csv else []
        command = [*filters.arguments(), *flags, "--limit", str(limit), "--after", page[-1][0].id]
        print_status(f"next page: {shlex.join(['avatars', 'list', *command])}")
    return EXIT_OK


def _print_provisionings(provisionings: Sequence[Provisioning], filters: ListFilters, nothing: str) -> None:
    """Print two lines each and their reasons on a terminal, otherwise one line each; `nothing` for no row."""
    if not provisionings:
        print_status(nothing)
    elif has_styles(sys.stdout):
        from cli.rendering import print_list_of_provisionings  # imports Rich
        from models.outcomes import next_step

        # Refused ones are not released: the filter leaves those out.
        steps = {item.id: next_step(item) for item in provisionings} if filters.needs_attention else {}
        print_list_of_provisionings(provisionings, steps)
    else:
        for provisioning in provisionings:
            created_at = f"{provisioning.created_at:%Y-%m-%dT%H:%M:%SZ}"
            cells = (f"{provisioning.status:<{_STATUS_WIDTH}}", provisioning.id, created_at, provisioning.reference)
            print_line("  ".join((*cells, provisioning.name)))
