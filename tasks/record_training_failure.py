"""Applies the retrain policy to a failed training."""

from __future__ import annotations

from prefect import task

from models.avatar import AvatarStatus
from models.provisioning import Driver, Provisioning, Status
from tasks.options import TASK
from tasks.record_end import end
from tasks.runtime import runtime


@task(**TASK)
async def record_training_failure(provisioning_id: str, driver: Driver) -> Provisioning:
    """Return the provisioning TRAINING_FAILED, or ACCEPTED to be trained anew while the policy allows it.

    Acts only where the ledger says that Argil said TRAINING_FAILED; else it comes back as it is, so running
    this twice does nothing twice. Raises UnknownProvisioning, StaleVersion, DatabaseError.
    """
    async with runtime() as active:
        seen = await active.ledger.get(provisioning_id)
        if seen.status is not Status.TRAINING or seen.raw_status != AvatarStatus.TRAINING_FAILED:
            return seen
        limit = active.settings.avatars_retrain_limit
        if seen.retrains >= limit:
            return await end(active, seen, driver, Status.TRAINING_FAILED)
        return await active.ledger.record(
            seen,
            driver,
            f"avatar {seen.avatar_id} failed to train: retrain {seen.retrains + 1} of {limit}",
            to=Status.ACCEPTED,
            retrains=seen.retrains + 1,
            avatar_id=None,
            training_since=None,
        )
