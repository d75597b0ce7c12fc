"""`avatars batch`: every row of a manifest."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from cli.console import narrated, print_json, progress, result, say
from cli.running import error_of, ready_to_run
from cli.tables import styled
from clients.manifest_file import load_manifest
from models.batch import RowResult, Tally, results_text
from models.errors import AvatarsError, InvalidManifest
from models.outcomes import EXIT_BATCH_INCOMPLETE, EXIT_OK
from models.provisioning import Status
from models.settings import Settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

BAR_WIDTH = 40
LATEST = 10
"""How many of the rows that went wrong the live table shows."""
PRINTED = 200
"""How many of them are printed in the end; the results file holds all."""


def batch(
    manifest: str,
    /,
    *,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    results: Path | None = None,
    concurrency: Annotated[int, Parameter(validator=Number(gte=1, lte=1000))] = 20,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Provision every row of a manifest; the same manifest again attaches to what is there and goes on.

    Parameters
    ----------
    manifest
        Path or https URL of a CSV, JSONL or YAML file; docs/batch.md shows each.
    dry_run
        Check everything, the videos too, tell what would happen, and send nothing.
    results
        Where to write each row's result, .csv or .json. By default beside the manifest, as NAME.results.csv.
    concurrency
        How many rows are checked and created at a time; how many train is not bounded.
    json
        Print one JSON document on stdout and nothing else.

    """
    path = results or _beside(manifest)
    if path.suffix.lower() not in {".csv", ".json"}:
        raise InvalidManifest(
            f"nothing tells the format of the results file {path}", hint="end it in .csv or .json"
        )
    settings = Settings.load()
    # What cannot be read is told at once, before a server is started.
    load_manifest(manifest, allowed_hosts=settings.avatars_media_allowed_hosts)
    followed: list[Tally] = []
    with ready_to_run(settings), _followed(followed):
        from flows.batch import onlooker
        from flows.provision_batch import provision_batch

        async def run() -> AvatarsError | None:
            onlooker.set(followed.append)
            state: State = await provision_batch(
                manifest=manifest, dry_run=dry_run, concurrency=concurrency, return_state=True
            )
            return await error_of(state)

        error = asyncio.run(run())
    if not followed:
        raise error or InvalidManifest("the batch did not begin", hint="see the run's log in the Prefect UI")
    [tally] = followed
    _write(path, tally)
    if json and error is None:
        print_json({"counts": {k: v for k, v in tally.counts.items() if v}, "rows": tally.documents()})
    elif not json:
        _print(tally)
    say(f"the result of each row is in {path}")
    if error is not None:
        raise error
    return EXIT_OK if tally.all_ready or (dry_run and tally.all_would_go) else EXIT_BATCH_INCOMPLETE


def _beside(manifest: str) -> Path:
    """Return where the results go by default: by the manifest, or here where that is a URL."""
    if "://" in manifest:
        with contextlib.suppress(ValueError):
            return Path(f"{Path(urlsplit(manifest).path).stem or 'batch'}.results.csv")
        return Path("batch.results.csv")
    path = Path(manifest).expanduser()
    return path.with_name(f"{path.stem}.results.csv")


def _write(path: Path, tally: Tally) -> None:
    """Write the results as a whole or not at all; a disk that is full must not hide what was done."""
    unfinished = path.with_name(f"{path.name}.part")
    try:
        unfinished.write_text(results_text(tally, as_json=path.suffix.lower() == ".json"), "utf-8", newline="")
        unfinished.replace(path)
    except OSError as error:
        say(f"! the results file {path} could not be written: {error.strerror}")


@contextlib.contextmanager
def _followed(followed: list[Tally]) -> Iterator[None]:
    """Show the batch while it runs: a live table on a terminal, plain lines otherwise."""
    if not progress.is_terminal:
        with narrated("batch"):
            yield
        return
    with Live(console=progress, get_renderable=lambda: _screen(followed), refresh_per_second=4, transient=True):
        yield


def _screen(followed: list[Tally]) -> RenderableType:
    if not followed:
        return "starting"
    tally, now = followed[0], time.monotonic()
    counts = Table.grid(padding=(0, 2))
    for status, count in tally.counts.most_common():
        if count:
            counts.add_row(_coloured(status), str(count))
    left = tally.seconds_left(now)
    line = Table.grid(padding=(0, 2))
    line.add_row(
        ProgressBar(total=tally.total, completed=tally.settled, width=BAR_WIDTH),
        f"{tally.settled} of {tally.total}",
        f"{tally.rate(now):.1f} a second",
        _span(left) if left is not None else "",
    )
    wrong = [row for row in tally.rows if _went_wrong(row)][-LATEST:]
    return Group(counts, line, *([_wrong(wrong)] if wrong else []))


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} left" if hours else f"{minutes}:{rest:02} left"


def _coloured(status: str) -> str:
    return styled(Status(status)) if status in set(Status) else status


def _went_wrong(row: RowResult) -> bool:
    return bool(row.reasons) and row.status != Status.READY


def _wrong(rows: list[RowResult]) -> Table:
    table = Table("Line", "Status", "Name", "Reasons", show_lines=True)
    for row in rows:
        reasons = "\n".join(
            escape(f"{one.message}\n→ {one.hint}" if one.hint else one.message) for one in row.reasons
        )
        table.add_row(str(row.line), _coloured(row.status), escape(row.name), reasons)
    return table


def _print(tally: Tally) -> None:
    wrong = [row for row in tally.rows if _went_wrong(row)]
    if wrong:
        result.print(_wrong(wrong[:PRINTED]))
    result.print(f"{tally.total} rows: {tally.told}", markup=False)
    if len(wrong) > PRINTED:
        say(f"only the first {PRINTED} of {len(wrong)} rows that need a look are shown")
