"""`avatars reconcile`: run one reconciliation pass in this process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cli.console import print_json, print_line, show_run_log
from cli.flow_runner import prepared_environment, run_flow
from cli.options import JsonFlag
from models.exit_codes import EXIT_OK
from models.reconciliation import ReconcileResult
from models.settings import Settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


def reconcile(*, json: JsonFlag = False) -> int:
    """Run one reconciliation pass over orphaned provisionings and suspended runs.

    The schedule `reconcile-avatars` does the same every AVATARS_RECONCILE_INTERVAL_SECONDS.
    """

    async def run() -> ReconcileResult:
        from flows.reconcile_avatars import reconcile_avatars

        async def start() -> State:
            state: State = await reconcile_avatars(return_state=True)
            return state

        state, error = await run_flow(start, "the reconciliation")
        if error is not None:
            raise error
        result: ReconcileResult = await state.aresult()
        return result

    with prepared_environment(Settings.load()), show_run_log("reconciling"):
        result = asyncio.run(run())
    if json:
        print_json(result.to_json())
    else:
        print_line(result.summary)
    return EXIT_OK
