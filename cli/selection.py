"""Selects the provisionings of a command that takes several ids, or all of a batch or with a status."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from cyclopts import Parameter

from cli.options import normalize_status
from models.clock import SystemClock
from models.errors import InvalidArguments, InvalidRequest, UnknownProvisioning
from models.provisioning import Status
from models.settings import Settings
from services.store import open_store
from store.latest_page import LatestPage
from store.ledger_reader import LedgerReader

PAGE_SIZE = 500

ProvisioningKeys = Annotated[str, Parameter(name="ID", help="Ids or references of the provisionings.")]
StatusOption = Annotated[
    list[Status] | None,
    Parameter(
        name="--status",
        name_transform=normalize_status,
        help="Also all provisionings with this status, with --batch only those of the batch; can be repeated.",
    ),
]
BatchOption = Annotated[
    str | None,
    Parameter(
        name="--batch",
        help="Also the provisionings of the batch with this id, in the statuses that the command changes.",
    ),
]


@dataclass(frozen=True)
class Selection:
    """What the user of a command names.

    Attributes:
        keys: Ids and references.
        statuses: Statuses whose provisionings are selected, too.
        batch: The id of a batch whose provisionings are selected, too. Then `statuses` are those within the batch.
    """

    keys: Sequence[str]
    statuses: Sequence[Status] | None = None
    batch: str | None = None

    @property
    def names_one(self) -> bool:
        """Whether the command is about one provisioning, whose outcome is its exit code and its JSON object."""
        return len(self.keys) == 1 and not self.statuses and self.batch is None


async def select_ids(selection: Selection, batch_statuses: Collection[Status]) -> list[str]:
    """Return the ids of the selected provisionings, each once.

    Erased ones are selected by their key only: they no longer change.

    Args:
        selection: What the user names.
        batch_statuses: The statuses that the command changes: those of a batch that it selects without `--status`.

    Raises:
        InvalidRequest: Neither a provisioning nor a status nor a batch is named.
        UnknownProvisioning: The ledger has no such id or reference; nothing is selected.
        UnknownBatch: The ledger has no such batch; nothing is selected.
        DatabaseError: The ledger cannot be read.
    """
    if not selection.keys and not selection.statuses and selection.batch is None:
        raise InvalidRequest(
            [("ID", "no provisioning is named")],
            hint="name ids or references, a status with --status, or a batch with --batch",
        )
    async with open_store(Settings.load(), SystemClock()) as store:
        selected = await _find_ids(store.ledger, selection.keys)
        if selection.batch is not None:
            batch_id = (await store.batches.get(selection.batch)).id
            page = LatestPage(PAGE_SIZE, selection.statuses or sorted(batch_statuses), batch_id=batch_id)
        elif selection.statuses:
            page = LatestPage(PAGE_SIZE, selection.statuses)
        else:
            return list(dict.fromkeys(selected))
        while provisionings := await store.ledger.list_page(page):
            selected += [provisioning.id for provisioning in provisionings if provisioning.erased_at is None]
            page = replace(page, after=provisionings[-1].sort_key)
    return list(dict.fromkeys(selected))


async def _find_ids(ledger: LedgerReader, keys: Sequence[str]) -> list[str]:
    """Return the ids of these provisionings; the error of an unknown key says that nothing was changed."""
    found: list[str] = []
    unknown: list[UnknownProvisioning] = []
    for key in keys:
        try:
            found.append((await ledger.get(key)).id)
        except UnknownProvisioning as error:
            unknown.append(error)
    if not unknown:
        return found
    [first, *others] = unknown
    if len(keys) > 1:
        also = f"; unknown, too: {', '.join(repr(error.key) for error in others)}" if others else ""
        first.hint = f"nothing was changed{also}; {first.hint}"
    raise first


def require_changeable(selection: Selection, statuses: frozenset[Status], command: str) -> None:
    """Refuse a `--status` whose provisionings the command never changes: each would be the same error.

    Args:
        selection: What the user names.
        statuses: Those that the command changes or accepts.
        command: Its name.

    Raises:
        InvalidArguments: Every named status is another one; nothing is selected.
    """
    wrong = selection.statuses or ()
    if wrong and statuses.isdisjoint(wrong):
        raise InvalidArguments(
            f"`{command}` does not change provisionings that are {', '.join(wrong)}; nothing was changed",
            hint=f"it takes those that are {', '.join(sorted(statuses))}; "
            "`avatars list --needs-attention` shows the next step of each",
        )
