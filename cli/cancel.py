"""`avatars cancel`: ends a provisioning because a person says so."""

from __future__ import annotations

import asyncio
import uuid
from typing import Annotated

from cyclopts import Parameter

from cli.console import print_json, say
from cli.tables import print_outcome
from models.clock import SystemClock
from models.document import document
from models.errors import StaleVersion
from models.outcomes import EXIT_OK
from models.provisioning import Driver, Provisioning, Submission
from models.settings import Settings
from tasks.cancel import cancel as end
from tasks.runtime import open_store

Json = Annotated[bool, Parameter(negative=())]


def cancel(provisioning_id: str, /, *, json: Json = False) -> int:
    """Stop a provisioning: nothing is created any more; what Argil trains already, it goes on training.

    The run that drives it, or sleeps over it, ends as Cancelled within the next reconcile.

    Parameters
    ----------
    provisioning_id
        Its id or reference.
    json
        Print one JSON document on stdout and nothing else.

    """
    provisioning, submissions = asyncio.run(_cancel(provisioning_id))
    if json:
        print_json(document(provisioning, submissions))
    else:
        print_outcome(provisioning)
        say(provisioning.reasons[0].message)
    return EXIT_OK


async def _cancel(key: str) -> tuple[Provisioning, list[Submission]]:
    driver = Driver(actor="cancel", id=str(uuid.uuid4()))
    async with open_store(Settings.load(), SystemClock()) as (ledger, _, _):
        while True:
            found = await ledger.get(key)
            try:
                cancelled = await end(ledger, found, driver, "a person cancelled it")
            except StaleVersion:
                continue  # its driver wrote in between: decide on what is there now
            return cancelled, await ledger.submissions(cancelled.id)
