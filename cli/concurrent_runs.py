"""Run a flow for each of several provisionings in this process, and print their outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from cli.console import print_error, print_json, print_status, show_run_log
from cli.flow_runner import Outcome, error_from_state, prepared_environment, read_outcome
from cli.rendering import print_outcome
from models.error_view import error_view
from models.errors import AvatarsError, OperationalError
from models.exit_codes import EXIT_BATCH_INCOMPLETE, EXIT_OK, EXIT_OPERATIONAL_ERROR
from models.json_views import provisioning_summary
from models.outcomes import OUTCOMES
from models.settings import Settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

MAX_CONCURRENT_RUNS = 20
"""Runs of one command at a time; each waits for its training in this process."""


def run_each_and_report(
    start: Callable[[str], Awaitable[State]], provisioning_ids: Sequence[str], *, title: str, as_json: bool
) -> int:
    """Run a flow for each provisioning, at most MAX_CONCURRENT_RUNS at a time, and print the outcomes.

    An error of one run does not stop the others.

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
        print_status("no provisioning has this status")
        return EXIT_OK
    with prepared_environment(settings):

        async def run(semaphore: asyncio.Semaphore, key: str) -> tuple[AvatarsError | None, Outcome]:
            async with semaphore:
                error = await error_from_state(await start(key))
            return error, await read_outcome(settings, key)

        async def run_all() -> list[tuple[AvatarsError | None, Outcome]]:
            semaphore = asyncio.Semaphore(MAX_CONCURRENT_RUNS)
            return await asyncio.gather(*(run(semaphore, key) for key in provisioning_ids))

        with show_run_log(title):
            results = asyncio.run(run_all())
    if as_json:
        print_json(
            [
                provisioning_summary(*outcome) | (error_view(error) if error is not None else {})
                for error, outcome in results
            ]
        )
    codes = set()
    for error, (provisioning, _) in results:
        if not as_json:
            print_outcome(provisioning)
        if error is not None:
            print_error(error)
            codes.add(EXIT_OPERATIONAL_ERROR if isinstance(error, OperationalError) else EXIT_BATCH_INCOMPLETE)
        else:
            codes.add(OUTCOMES[provisioning.status].exit_code)
    if EXIT_OPERATIONAL_ERROR in codes:
        return EXIT_OPERATIONAL_ERROR
    return EXIT_OK if codes == {EXIT_OK} else EXIT_BATCH_INCOMPLETE
