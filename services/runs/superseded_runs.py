"""Keeps the old process of a run from reporting once another process has taken the run up.

A process that was believed dead, for example in standby, can go on. Prefect accepts its report, because both
processes report the same run. The ledger can tell them apart: each attempt of a run is a lease owner of its own.
"""

from __future__ import annotations

from prefect.exceptions import Abort

from models.errors import DatabaseError
from models.provisioning import LeaseOwner
from services.context import app_context
from services.run_log import log_to_run


async def leave_report_to_later_attempt(owner: LeaseOwner) -> None:
    """Return if this process may report an error or suspend its run.

    Args:
        owner: The lease owner of this attempt of the run.

    Raises:
        Abort: Another attempt of the run advances the provisioning; it reports the outcome. The Prefect engine then
            ends this process without a report.

    """
    try:
        async with app_context() as context:
            is_superseded = owner.flow_run_id is not None and await context.ledger.holds_leases(
                owner.flow_run_id, except_owner=owner.id
            )
    except DatabaseError:
        return  # without the ledger, neither attempt can go on
    if is_superseded:
        log_to_run("another process has taken this run up and reports its outcome")
        raise Abort("another process has taken this run up")
