"""Resumes the runs that suspended themselves while Argil trains, and ends those that Prefect cannot start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from pydantic import ValidationError

from models.clock import SystemClock
from models.provisioning import Provisioning
from models.run_ownership import RunAction, RunFacts, decide_action, end_reason
from services.context import AppContext, app_context
from services.run_log import log_to_run
from services.runs.orphaned_runs import end_state, read_facts, restart_state
from services.runs.outcome_states import final_state_for
from services.runs.run_listing import REMOVAL_HINT, is_unreadable
from services.runs.start_obstacles import StartObstacles

MAX_CONCURRENT_RESUMES = 2
"""More concurrent resumes are not faster. On a Prefect server with SQLite, transactions then time out while they
wait for each other."""


async def resume_runs(provisionings: Sequence[Provisioning]) -> list[Provisioning]:
    """Resume or restart the run of each provisioning; return the provisionings that no run will advance.

    models/run_ownership.py has the rule. The caller must advance the returned provisionings itself.

    Args:
        provisionings: Provisionings without a valid lease.

    Raises:
        DatabaseError: The ledger cannot be read.
        httpx.HTTPError: The Prefect API does not respond.

    """
    semaphore = asyncio.Semaphore(MAX_CONCURRENT_RESUMES)
    async with app_context() as context, get_client() as client:
        runs = _RunRecovery(context, client)

        async def has_owner(provisioning: Provisioning) -> bool:
            async with semaphore:
                return await runs.ensure_owner(provisioning)

        owned = await asyncio.gather(*(has_owner(provisioning) for provisioning in provisionings))
    return [provisioning for provisioning, is_owned in zip(provisionings, owned, strict=True) if not is_owned]


async def resume_terminal_runs() -> int:
    """Resume the suspended runs whose provisioning is terminal; return how many.

    Another lease owner or a person finished these provisionings, so reconciliation no longer selects them. A run
    that Prefect cannot start gets the final state of its outcome instead. Runs that are final are removed from the
    list of suspended runs.

    Raises:
        DatabaseError: The ledger cannot be read or written.
        httpx.HTTPError: The Prefect API does not respond.

    """
    async with app_context() as context, get_client() as client:
        runs = _RunRecovery(context, client)
        run_ids = await context.suspended_runs.list_with_terminal_provisioning()
        return sum([await runs.finish(run_id) for run_id in run_ids])


class _RunRecovery:
    """Decides about runs one by one, and sets their states."""

    def __init__(self, context: AppContext, client: PrefectClient) -> None:
        self._suspended_runs = context.suspended_runs
        self._ledger = context.ledger
        self._client = client
        self._obstacles = StartObstacles(client)

    async def ensure_owner(self, provisioning: Provisioning) -> bool:
        """Return whether a run owns the provisioning; resume, restart or end its run if necessary.

        True also if Prefect rejects the resume. The next run of `reconcile-avatars` reads the state again.
        False if the Prefect API cannot return or change the run. No process can start such a run.
        """
        if provisioning.flow_run_id is None:
            return False
        try:
            return await self._ensure_owner(provisioning, provisioning.flow_run_id)
        except (PrefectHTTPStatusError, ValidationError, ObjectNotFound) as error:
            self._log_unreadable(provisioning.flow_run_id, error)
            return False

    async def _ensure_owner(self, provisioning: Provisioning, run_id: str) -> bool:
        run, facts, action = await self._read(run_id)
        if run is None or facts is None or action is RunAction.TAKE_OVER:
            return False
        if action is RunAction.RESUME:
            await self._resume(run)
        elif action is RunAction.RESTART:
            await self._client.set_flow_run_state(run.id, restart_state(), force=True)
            log_to_run("the process of run %s is gone: it starts again", run.id)
        elif action is RunAction.TAKE_OVER_AND_END:
            log_to_run("provisioning %s is advanced here: %s", provisioning.id, end_reason(facts))
            # `finish` ends a suspended run as soon as its provisioning is terminal, with the outcome as its state.
            if not await self._suspended_runs.exists(str(run.id)):
                await self._end(run, end_state(facts))
        return action is not RunAction.TAKE_OVER_AND_END

    async def finish(self, run_id: str) -> bool:
        """Resume or end a suspended run whose provisioning is terminal; return whether it was resumed.

        A run that the Prefect API cannot return or change is logged and skipped.
        """
        try:
            return await self._finish(run_id)
        except (PrefectHTTPStatusError, ValidationError, ObjectNotFound) as error:
            self._log_unreadable(run_id, error)
            return False

    async def _finish(self, run_id: str) -> bool:
        run, _, action = await self._read(run_id)
        if run is None or run.state is None or run.state.is_final():
            await self._suspended_runs.remove(run_id)
        elif action is RunAction.RESUME:
            return await self._resume(run)
        elif action is RunAction.TAKE_OVER_AND_END:
            provisioning = await self._ledger.get(await self._suspended_runs.provisioning_id_of(run_id))
            if await self._end(run, final_state_for(provisioning)):
                await self._suspended_runs.remove(run_id)
        return False

    def _log_unreadable(self, run_id: str, error: Exception) -> None:
        """Log an error that concerns one run; raise any other."""
        if not isinstance(error, ObjectNotFound) and not is_unreadable(error):
            raise error
        log_to_run(
            "the Prefect API cannot return or change the run %s: it is skipped; %s",
            run_id,
            REMOVAL_HINT,
            level=logging.WARNING,
        )

    async def _read(self, run_id: str) -> tuple[FlowRun | None, RunFacts | None, RunAction]:
        try:
            run = await self._client.read_flow_run(UUID(run_id))
        except ObjectNotFound:
            return None, None, decide_action(None)
        facts = read_facts(
            run,
            SystemClock().now(),
            await self._obstacles.find(run),
            has_other_work=await self._obstacles.has_other_work(run),
            holds_leases=await self._ledger.holds_leases(run_id),
        )
        return run, facts, decide_action(facts)

    async def _resume(self, run: FlowRun) -> bool:
        response = await self._client.resume_flow_run(run.id)
        is_accepted = response.status is SetStateStatus.ACCEPT
        if is_accepted:
            log_to_run("resumed run %s", run.id)
        else:  # another process resumed it first, or it was deleted
            log_to_run("run %s was not resumed: %s", run.id, response.status)
        return is_accepted

    async def _end(self, run: FlowRun, state: State) -> bool:
        """Set a final state unless Prefect's rules forbid it; return whether it was set."""
        response = await self._client.set_flow_run_state(run.id, state)
        is_accepted = response.status is SetStateStatus.ACCEPT
        log_to_run("run %s %s as %s", run.id, "ended" if is_accepted else "did not end", state.name)
        return is_accepted
