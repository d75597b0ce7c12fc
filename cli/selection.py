"""Selects the provisionings of a command that takes several ids, or all with a status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from models.clock import SystemClock
from models.errors import InvalidRequest
from models.provisioning import Status
from models.settings import Settings
from services.store import open_store
from store.latest_page import LatestPage

PAGE_SIZE = 500

ProvisioningKeys = Annotated[str, Parameter(help="Ids or references of the provisionings.")]
StatusOption = Annotated[
    list[Status] | None,
    Parameter(name="--status", negative=(), help="Also all provisionings with this status; can be repeated."),
]


async def select_ids(keys: Sequence[str], statuses: Sequence[Status] | None) -> list[str]:
    """Return the ids of the named provisionings and of those with one of the statuses, each once.

    Erased ones are selected by their key only: they no longer change.

    Raises:
        InvalidRequest: Neither a provisioning nor a status is named.
        UnknownProvisioning: The ledger has no such id or reference; nothing is selected.
        DatabaseError: The ledger cannot be read.
    """
    if not keys and not statuses:
        raise InvalidRequest(
            [("ID", "no provisioning is named")], hint="name ids or references, or a status with --status"
        )
    async with open_store(Settings.load(), SystemClock()) as store:
        selected = [(await store.ledger.get(key)).id for key in keys]
        page = LatestPage(PAGE_SIZE, statuses or ())
        while statuses and (provisionings := await store.ledger.list_page(page)):
            selected += [provisioning.id for provisioning in provisionings if provisioning.erased_at is None]
            page = replace(page, after=provisionings[-1].sort_key)
    return list(dict.fromkeys(selected))


def names_one(keys: Sequence[str], statuses: Sequence[Status] | None) -> bool:
    """Return whether the command is about one provisioning, whose outcome is its exit code and its JSON object."""
    return len(keys) == 1 and not statuses
