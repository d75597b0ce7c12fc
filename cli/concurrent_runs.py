"""Run a flow for each of several provisionings in this process, and print their outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from cli.console import print_error, print_json, print_status, show_run_log
from cli.exit_codes import exit_code_for, exit_code_of_several
from cli.flow_runner import RunOutcome, prepared_environment, read_outcome, run_for_error
from cli.rendering import print_outcome
from models.errors import AvatarsError, DatabaseError
from models.exit_codes import EXIT_OK
from models.outcomes import OUTCOMES
from models.reports.error_view import error_view
from models.reports.json_views import provisioning_summary
from models.settings import Settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

MAX_CONCURRENT_RUNS = 20
"""Runs of one command at a time; each waits for its training in this process."""

Result = tuple[AvatarsError | None, RunOutcome | None]
"""The error of a run, and the outcome that the ledger has; None if the ledger cannot be read."""


def run_each_and_report(
    start: Callable[[str], Awaitable[State]], provisioning_ids: Sequence[str], *, title: str, as_json: bool
) -> int:
    """Run a flow for each provisioning, at most MAX_CONCURRENT_RUNS at a time, and print the outcomes.

    An error of one run, also one of Prefect itself, does not stop the others.

    Args:
        start: Calls the flow for a provisioning and returns its final state.
        provisioning_ids: The provisionings.
        title: Text of the status line while the flows run.
        as_json: Print a JSON list instead of text.

    Returns:
        0 if every outcome has exit code 0, 3 if an operational error stopped a run, else 1.

    """
    settings = Settings.load()
    if not provisioning_ids:
        if as_json:
            print_json([])
        print_status("no provisioning matches")
        return EXIT_OK
    with prepared_environment(settings), show_run_log(title):
        results = asyncio.run(run_each(start, provisioning_ids, settings))
    if as_json:
        print_json([_to_json(key, *result) for key, result in zip(provisioning_ids, results, strict=True)])
    return exit_code_of_several([_print_result(*result, as_json=as_json) for result in results])


async def run_each(
    start: Callable[[str], Awaitable[State]], provisioning_ids: Sequence[str], settings: Settings
) -> list[Result]:
    """Run a flow for each provisioning and return the results in the same order."""
    semaphore = asyncio.Semaphore(MAX_CONCURRENT_RUNS)

    async def run(key: str) -> Result:
        async with semaphore:
            error = await run_for_error(lambda: start(key), f"the run of provisioning {key}")
        try:
            return error, await read_outcome(settings, key)
        except DatabaseError as unreadable:
            return error or unreadable, None

    return await asyncio.gather(*(run(key) for key in provisioning_ids))


def _print_result(error: AvatarsError | None, outcome: RunOutcome | None, *, as_json: bool) -> int:
    """Print the result of one run, as JSON only its error, and return its exit code."""
    if outcome is not None and not as_json:
        print_outcome(outcome.provisioning, is_released=outcome.is_released)
    if error is not None:
        print_error(error)
        return exit_code_for(error)
    return EXIT_OK if outcome is None else OUTCOMES[outcome.provisioning.status].exit_code


def _to_json(key: str, error: AvatarsError | None, outcome: RunOutcome | None) -> dict[str, Any]:
    document = {"id": key} if outcome is None else provisioning_summary(outcome.provisioning, outcome.submissions)
    return document | (error_view(error) if error is not None else {})
