"""`avatars erase`: remove a person's data from the ledger."""

from __future__ import annotations

import asyncio
import uuid

from cli.console import print_json, print_line, stdout_console
from cli.options import JsonFlag, ProvisioningKey
from models.clock import SystemClock
from models.erasure import ErasureReport
from models.errors import StaleVersion
from models.exit_codes import EXIT_OK
from models.provisioning import LeaseOwner
from models.settings import Settings
from services.erasure import erase_provisioning
from services.store import open_store


def erase(provisioning: ProvisioningKey, /, *, json: JsonFlag = False) -> int:
    """Erase a person's name, URLs and extras from the ledger and list what remains elsewhere.

    The provisioning must have ended. Erasure cannot be undone.
    """
    report = asyncio.run(_erase(provisioning))
    if json:
        print_json({"erased": True, **report.model_dump(), "remaining_steps": report.remaining_steps})
    else:
        stdout_console.print("erased from the ledger; remaining steps:")
        for step in report.remaining_steps:
            print_line(f"  - {step}")
    return EXIT_OK


async def _erase(key: str) -> ErasureReport:
    owner = LeaseOwner(actor="erase", id=str(uuid.uuid4()))
    clock = SystemClock()
    async with open_store(Settings.load(), clock) as store:
        while True:
            try:
                return await erase_provisioning(store.ledger, clock, key, owner)
            except StaleVersion:
                continue  # another process wrote in between: decide again on the current version
