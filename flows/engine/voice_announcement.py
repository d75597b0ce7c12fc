"""Announces voices that were found later than READY: the artifact of the avatar, and the event `avatar.voice`."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from models.provisioning import Provisioning
from services.context import app_context
from services.prefect_api.events import emit_voice_event
from services.run_log import log_to_run
from tasks.publish_artifact import publish_artifact


async def announce_voices(found: Sequence[Provisioning], *, publishes_artifacts: bool = True) -> int:
    """Announce each voice and return how many were announced. The others stay due.

    A failed call to Prefect is logged and ends the announcement.

    Args:
        found: Provisionings with a voice that is not announced yet.
        publishes_artifacts: Whether each has an artifact of its own; the rows of a batch share a table.

    Raises:
        DatabaseError: The ledger cannot be read or written.

    """
    announced: list[Provisioning] = []
    for provisioning in found:
        try:
            if publishes_artifacts:
                await publish_artifact.fn(provisioning.id)
            emit_voice_event(provisioning)
        except Exception as error:  # noqa: BLE001  # whatever Prefect's client raises
            log_to_run("voices are announced later: %s", type(error).__name__, level=logging.WARNING)
            break
        announced.append(provisioning)
    async with app_context() as context:
        await context.ledger.set_voice_due({item.id: None for item in announced}, has_voice=True)
    return len(announced)
