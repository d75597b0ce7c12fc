"""Starts the child process that reads a workbook, and returns its rows as a table."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from media.spreadsheets.limits import TIMEOUT_SECONDS
from models.environment.child_environment import INSPECTOR, python_command
from models.errors import InvalidManifest
from models.manifest.cells import CellDoubt, TableRow
from models.manifest.columns import list_some
from models.manifest.table import Table


def read_spreadsheet(data: bytes, sheet: str | None = None) -> Table:
    """Return the rows of one sheet of a workbook. Blocks; call it from a thread.

    Args:
        data: The bytes of an .xlsx or .ods file.
        sheet: The name of the sheet; None for the first visible one.

    Raises:
        InvalidManifest: The workbook cannot be read within the limits, or is damaged, encrypted or has macros.
    """
    # A file instead of a pipe: the child has ended, or was killed, before its first row is used.
    with contextlib.ExitStack() as resources:
        output = resources.enter_context(tempfile.TemporaryFile())
        _run_child(data, sheet, output)
        output.seek(0)
        table = read_output(output, sheet)
        resources.pop_all()  # the table closes it
    return table


def read_output(output: IO[bytes], sheet: str | None) -> Table:
    """Return the table that the lines of the child process describe; see `media.spreadsheets.process`.

    Raises:
        InvalidManifest: The child process refused the workbook. It may also be raised while the rows are read.
    """
    header = json.loads(output.readline())
    _raise_problem(header)
    return Table(_rows(output), unit="row", notices=_notices(header, sheet), close=output.close)


def _raise_problem(line: dict[str, Any]) -> None:
    if "problem" in line:
        raise InvalidManifest(f"the spreadsheet cannot be read: {line['problem']}", hint=line["hint"])


def _run_child(data: bytes, sheet: str | None, output: IO[bytes]) -> None:
    try:
        child = subprocess.run(  # noqa: S603  # our own interpreter and module
            python_command("media.spreadsheets.process", *([sheet] if sheet is not None else [])),
            env=INSPECTOR.select(os.environ),
            input=data,
            stdout=output,
            stderr=subprocess.DEVNULL,  # python-calamine prints a backtrace when it is out of memory
            timeout=TIMEOUT_SECONDS,
            check=False,
            start_new_session=True,  # Ctrl-C ends it through this process
        )
    except subprocess.TimeoutExpired:
        raise _limit_error() from None
    except ValueError:  # a NUL character
        raise InvalidManifest("the name of the sheet is not valid", hint="name it as FILE.xlsx#Sheet1") from None
    if child.returncode != 0:
        raise _limit_error()


def _limit_error() -> InvalidManifest:
    return InvalidManifest(
        "the spreadsheet cannot be read: it is damaged, or takes too much memory or time",
        hint="copy the list into a new workbook, or save it as CSV",
    )


def _rows(output: IO[bytes]) -> Iterator[TableRow]:
    for line in output:
        row: Any = json.loads(line)
        if isinstance(row, dict):
            _raise_problem(row)
            return
        number, cells, doubts, is_title = row
        yield TableRow(number, cells, {int(index): CellDoubt(*doubt) for index, doubt in doubts.items()}, is_title)


def _notices(header: dict[str, Any], sheet: str | None) -> list[str]:
    notices = []
    if sheet is None and header["sheets"] > 1:
        notices.append(
            f"the workbook has {header['sheets']} sheets; the first one was read: name another as FILE.xlsx#SHEET"
        )
    if count := header["hidden_rows"]:
        listed = ", ".join(map(str, header["first_hidden_rows"]))
        more = (
            f" and {count - len(header['first_hidden_rows']):,} more"
            if count > len(header["first_hidden_rows"])
            else ""
        )
        notices.append(f"hidden rows are read like the others: {listed}{more}")
    if columns := header["hidden_columns"]:
        notices.append(f"hidden columns are read like the others: {list_some(columns)}")
    return notices
