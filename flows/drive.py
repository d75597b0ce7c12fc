"""Drives one provisioning from wherever it stands to its end."""

from __future__ import annotations

import asyncio

from clients.training_watch import WatchEnd
from flows.manner import ALONE, Manner
from flows.refused import refused
from flows.training_failed import training_failed
from models.avatar import AvatarStatus
from models.errors import DatabaseError, LeaseHeld, OperatorError, StaleVersion
from models.media import MediaRole
from models.provisioning import Driver, Provisioning, Status
from tasks.await_training import await_training
from tasks.check_recording import check_recording
from tasks.find_provisioning import find_provisioning
from tasks.find_submission import find_submission
from tasks.lease import leased, reclaim
from tasks.narrate import narrate
from tasks.publish_outcome import announce
from tasks.record_checks import record_checks
from tasks.record_end import record_end
from tasks.record_hindrance import record_hindrance
from tasks.submit_avatar import submit_avatar

_ANNOUNCED_BY_BRANCH = {Status.TRAINING_FAILED, Status.REFUSED}


async def drive(
    found: Provisioning, driver: Driver, patience_seconds: float | None = None, manner: Manner = ALONE
) -> Provisioning:
    """Return the provisioning at its end, or in TRAINING where patience ended first (None: it never does).

    Starts where the ledger says it stands; an ended one comes back at once. Follows another driver while that
    one lives. Raises OperatorError where it cannot go on; the ledger then holds the reason.
    """
    while True:
        try:
            return await _drive_as_only_one(found, driver, patience_seconds, manner)
        except (StaleVersion, LeaseHeld):
            # another driver took over: follow it
            found = await manner.step(find_provisioning)(found.id)


async def _drive_as_only_one(
    found: Provisioning, driver: Driver, patience_seconds: float | None, manner: Manner
) -> Provisioning:
    async with leased(found, driver, on_follow=manner.begin_wait) as claimed:
        provisioning = claimed
        attached_to_end = provisioning.status.is_end
        manner.moved(provisioning)
        while not provisioning.status.is_end:
            before = provisioning.status
            provisioning = await _step(provisioning, driver, patience_seconds, manner)
            if provisioning.status is not before:
                narrate("%s: %s (provisioning %s)", provisioning.name, provisioning.status, provisioning.id)
                manner.moved(provisioning)
            elif provisioning.status is Status.TRAINING:
                return provisioning  # patience ended
    await manner.publish(provisioning.id)
    if not attached_to_end and provisioning.status not in _ANNOUNCED_BY_BRANCH:
        announce(provisioning)
    return provisioning


async def _step(
    provisioning: Provisioning, driver: Driver, patience_seconds: float | None, manner: Manner
) -> Provisioning:
    try:
        match provisioning.status:
            case Status.ACCEPTED:
                await manner.begin_work()
                return await _check_and_submit(provisioning, driver, manner)
            case Status.SUBMITTING:
                await manner.begin_work()
                return await manner.step(find_submission)(provisioning, driver)
            case _:
                manner.begin_wait()
                return await _see_training_through(provisioning, driver, patience_seconds, manner)
    except DatabaseError:
        raise  # there is nowhere to write
    except OperatorError as error:
        await manner.step(record_hindrance)(provisioning.id, error, driver)
        raise


async def _check_and_submit(provisioning: Provisioning, driver: Driver, manner: Manner) -> Provisioning:
    check = manner.step(check_recording)
    checks = await asyncio.gather(*(check(provisioning, role) for role in MediaRole))
    checked = await manner.step(record_checks)(provisioning, checks, driver)
    return checked if checked.status.is_end else await manner.step(submit_avatar)(checked, driver)


async def _see_training_through(
    provisioning: Provisioning, driver: Driver, patience_seconds: float | None, manner: Manner
) -> Provisioning:
    seen, end = await manner.step(await_training)(provisioning, driver, patience_seconds)
    if end is WatchEnd.STILL_TRAINING:
        return seen
    record = manner.step(record_end)
    if end is WatchEnd.TIMED_OUT:
        return await record(seen, Status.TIMED_OUT, driver)
    if end is WatchEnd.VANISHED:
        return await record(seen, Status.VANISHED, driver)
    if seen.raw_status == AvatarStatus.IDLE:
        return await record(seen, Status.READY, driver)
    await manner.branch(training_failed if seen.raw_status == AvatarStatus.TRAINING_FAILED else refused, seen.id)
    return await reclaim(seen.id, driver)
