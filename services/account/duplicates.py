"""Reports an additional avatar at Argil that carries a submission id of a provisioning."""

from __future__ import annotations

import logging

from models.argil.avatar import Avatar
from models.provisioning import LeaseOwner, Provisioning
from services.context import AppContext
from services.prefect_api.events import emit_duplicate_event
from services.run_log import log_about_one


async def report_duplicate(
    context: AppContext, provisioning: Provisioning, owner: LeaseOwner, avatar: Avatar
) -> None:
    """Record the duplicate, log it and emit its event; a duplicate on record is not reported again.

    Raises:
        DatabaseError: The ledger cannot be written.

    """
    message = (
        f"duplicate at Argil: avatar {avatar.id} ({avatar.status}) has a submission id of this provisioning too"
    )
    submission_id = avatar.submission_id or ""
    if await context.ledger.record_duplicate(provisioning, owner, submission_id, avatar.id, message):
        log_about_one("%s", message, level=logging.ERROR)
        emit_duplicate_event(provisioning, avatar.id)
