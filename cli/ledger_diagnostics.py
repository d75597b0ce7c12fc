"""The checks of `avatars doctor` that need the ledger: a write, its disk, its clock, and what last happened."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from cli.diagnostics import DiagnosticResult
from models.clock import MAX_CLOCK_DIFFERENCE, SystemClock
from models.environment.disk_space import full_disk_problem
from models.errors import AvatarsError
from models.provisioning import Status
from models.service_health import argil_problem, format_age, schedule_problem, silence_limit
from models.settings import Settings
from models.text.plural import counted
from services.limit_report import read_limits
from services.store import Store, find_ledger_file, open_store
from store.diagnostics import LedgerFacts, read_facts, write_probe
from store.observations import Observation

FULL_DISK_HINT = "free disk space on the volume of the ledger, or nothing more can be recorded"
CLOCK_HINT = "synchronize the clocks (NTP): deadlines and the times in the history depend on them"
LEDGER_CHECK = "Ledger"
"""The name of the check whose failure makes all others of the ledger impossible."""


async def check_ledger(settings: Settings) -> AsyncIterator[DiagnosticResult]:
    """Yield the results of all checks of the ledger; only the first one if it cannot be used."""
    clock = SystemClock()
    try:
        async with open_store(settings, clock) as store:
            yield await _check_write(store, settings)
            facts, local_now = await read_facts(store.ledger.database, clock), clock.now()
            yield _check_clock(facts, local_now)
            observations = await store.observations.read_all()
            yield _check_schedule(settings, facts, observations)
            yield await _check_limits(store, settings)
    except AvatarsError as error:
        problem = _full_disk_problem(settings)
        detail = f"{error.message}; {problem}" if problem else error.message
        yield DiagnosticResult(
            LEDGER_CHECK, ok=False, detail=detail, hint=FULL_DISK_HINT if problem else error.hint
        )


async def _check_write(store: Store, settings: Settings) -> DiagnosticResult:
    check, database = LEDGER_CHECK, store.ledger.database
    await write_probe(database, SystemClock())
    if problem := _full_disk_problem(settings):
        return DiagnosticResult(check, ok=False, detail=problem, hint=FULL_DISK_HINT)
    return DiagnosticResult(check, ok=True, detail=f"{database.redacted_url} is readable and writable")


def _full_disk_problem(settings: Settings) -> str | None:
    """Return that the disk of a SQLite ledger is full; None also for a URL that is not valid."""
    try:
        file = find_ledger_file(settings)
    except AvatarsError:
        return None
    return None if file is None else full_disk_problem(file.parent)


def _check_clock(facts: LedgerFacts, local_now: datetime) -> DiagnosticResult:
    check, difference = "Clock", local_now - facts.now
    if abs(difference) > MAX_CLOCK_DIFFERENCE:
        detail = (
            f"the clock of this machine differs from that of the database by {difference.total_seconds():.0f} s"
        )
        return DiagnosticResult(check, ok=False, detail=detail, hint=CLOCK_HINT)
    if facts.ahead:
        detail = f"times in the future: {', '.join(facts.ahead)}"
        return DiagnosticResult(
            check,
            ok=False,
            detail=detail,
            hint=f"a clock was set back, or was wrong; nothing waits for these times. {CLOCK_HINT}",
        )
    return DiagnosticResult(check, ok=True, detail="nothing has a time in the future")


def _check_schedule(
    settings: Settings, facts: LedgerFacts, observations: dict[Observation, datetime]
) -> DiagnosticResult:
    check = "Schedule"
    limit = silence_limit(settings.avatars_reconcile_interval_seconds)
    reconciled_at, listed_at = observations.get(Observation.RECONCILED), observations.get(Observation.ARGIL_LISTED)
    if problem := schedule_problem(reconciled_at, facts.waiting_since, facts.now, limit):
        hint = "start `avatars up`, or resume the schedule in the Prefect UI; `avatars reconcile` runs it once"
        return DiagnosticResult(check, ok=False, detail=problem, hint=hint)
    if problem := argil_problem(reconciled_at, listed_at, facts.now, limit):
        hint = "see the check of Argil above; trainings continue, and their outcomes are recorded once it answers"
        return DiagnosticResult(check, ok=False, detail=problem, hint=hint)
    detail = (
        f"last run of reconcile-avatars: {format_age(reconciled_at, facts.now)}; "
        f"last list of the account: {format_age(listed_at, facts.now)}; "
        f"last webhook delivery: {format_age(facts.last_delivery_at, facts.now)}"
    )
    return DiagnosticResult(check, ok=True, detail=detail)


async def _check_limits(store: Store, settings: Settings) -> DiagnosticResult:
    """Check whether submissions pause; a used-up budget is as configured, and so is not a failure."""
    limits = await read_limits(store, settings)
    waiting = (await store.ledger.count_by_status()).get(Status.ACCEPTED, 0)
    lines = [*(pause.describe(limits.now) for pause in limits.pauses), limits.describe_budget()]
    detail = "; ".join([*lines, f"waiting in ACCEPTED: {counted(waiting, 'provisioning')}"])
    probed = next((pause for pause in limits.pauses if pause.cause.is_probed), None)
    hint = "" if probed is None else probed.remedy
    return DiagnosticResult("Limits", ok=probed is None, detail=detail, hint=hint)
