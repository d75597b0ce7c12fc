"""Reports an avatar at Argil beyond the one of its provisioning, once."""

from __future__ import annotations

import logging

from models.avatar import Avatar
from models.provisioning import Driver, Provisioning
from tasks.narrate import narrate
from tasks.publish_outcome import announce_duplicate
from tasks.runtime import Runtime


async def report_duplicate(active: Runtime, provisioning: Provisioning, driver: Driver, avatar: Avatar) -> None:
    """Record and announce it, where that was not done before. Raises DatabaseError."""
    why = f"duplicate at Argil: avatar {avatar.id} ({avatar.status}) carries a key of this provisioning too"
    key = avatar.submission_id or ""
    if await active.ledger.note_duplicate(provisioning, driver, key, avatar.id, why):
        narrate("%s", why, level=logging.ERROR)
        announce_duplicate(provisioning, avatar.id)
