"""`avatars erase`: remove a person's data from the ledger, its archives and Prefect."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cli.confirmation import require_confirmed_erasure
from cli.console import print_json, print_line, print_status
from cli.options import JsonFlag, ProvisioningKey
from cli.terminal import stdout_console
from models.clock import SystemClock
from models.environment.certificates import require_usable_certificates
from models.errors import PrefectError, SettingsError, StaleVersion
from models.exit_codes import EXIT_OK
from models.privacy.data_subject import DataSubject
from models.privacy.erasure_report import ErasureReport
from models.provisioning import LeaseOwner, Provisioning
from models.settings import Settings
from services.erasure import erase_provisioning, find_data_subject
from services.recordings.uploads import erase_uploads
from services.store import open_store
from store.same_person import find_other_references


def erase(
    provisioning: ProvisioningKey,
    /,
    *,
    in_prefect: Annotated[bool, Parameter(negative=())] = False,
    archive: Annotated[tuple[Path, ...], Parameter(negative=(), show_default=False)] = (),
    yes: Annotated[bool, Parameter(negative=())] = False,
    json: JsonFlag = False,
) -> int:
    """Erase a person's name, URLs and extras from the ledger and list what remains elsewhere.

    The provisioning must have ended. Erasure cannot be undone. Running the command again continues it.

    Args:
        in_prefect: Also delete the person's runs and artifacts in Prefect, and their rows in those of a batch.
        archive: Archive file to erase the messages from, if it was moved since `avatars archive`; can be repeated.
        yes: Do not ask. Without it, the command asks on a terminal, and elsewhere exits with 2 before anything is
            erased. With --json it erases without asking.

    """
    found, subject, others = asyncio.run(_find(provisioning))
    if not (yes or json):
        require_confirmed_erasure(found.name, subject.reference)
    # Before the ledger: it has the name and the URLs by which runs are found.
    prefect = _search_prefect(subject, in_prefect=in_prefect)
    report = asyncio.run(_erase(subject.provisioning_id, archive)).model_copy(
        update={
            **prefect,
            "in_prefect": in_prefect,
            "was_erased": found.erased_at is not None,
            "other_references": others,
        }
    )
    steps = report.remaining_steps(subject.provisioning_id)
    if json:
        print_json({"erased": True, **report.model_dump(mode="json"), "remaining_steps": steps})
    else:
        stdout_console.print("erased from the ledger; remaining steps:")
        for step in steps:
            print_line(f"  - {step}")
    return EXIT_OK


async def _find(key: str) -> tuple[Provisioning, DataSubject, list[str]]:
    """Return the provisioning, what identifies the person's data, and other references of perhaps theirs."""
    async with open_store(Settings.load(), SystemClock()) as store:
        subject = await find_data_subject(store.ledger, key)
        provisioning = await store.ledger.get(subject.provisioning_id)
        others = await find_other_references(store.ledger.database, provisioning, subject)
        return provisioning, subject, others


def _search_prefect(subject: DataSubject, *, in_prefect: bool) -> dict[str, Any]:
    """Return the fields of the report about Prefect."""
    try:
        require_usable_certificates()
        from cli.erase_in_prefect import search_or_erase

        return search_or_erase(subject, in_prefect=in_prefect)
    except (PrefectError, SettingsError) as error:
        if in_prefect:
            error.hint = (
                f"{error.hint}. Nothing was erased from the ledger; "
                "without --in-prefect, the command erases only the ledger"
            )
            raise
        print_status(f"Prefect was not searched: {error.message}")
        return {"prefect_problem": error.message}


async def _erase(key: str, archives: Sequence[Path]) -> ErasureReport:
    owner = LeaseOwner(actor="erase", id=str(uuid.uuid4()))
    clock = SystemClock()
    settings = Settings.load()
    async with open_store(settings, clock) as store:
        while True:
            try:
                report = await erase_provisioning(store.ledger, clock, key, owner, archives)
            except StaleVersion:
                continue  # another process wrote in between: decide again on the current version
            deleted, remaining = await erase_uploads(key, store.uploads, settings)
            return report.model_copy(update={"deleted_uploads": deleted, "uploads": remaining})
