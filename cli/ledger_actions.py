"""Applies a change to provisionings of the ledger, one by one, and prints the results: no flow is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from cli.console import print_error, print_json, print_status
from cli.exit_codes import exit_code_for, exit_code_of_several
from cli.rendering import print_outcome
from models.clock import SystemClock
from models.errors import AvatarsError, OperationalError, RequestError, StaleVersion
from models.exit_codes import EXIT_OK
from models.provisioning import Provisioning, Submission
from models.reports.error_view import error_view
from models.reports.json_views import provisioning_summary
from models.settings import Settings
from services.store import Store, open_store

LedgerAction = Callable[[Store, Provisioning], Awaitable[Provisioning]]
Result = tuple[Provisioning, list[Submission]] | AvatarsError


def run_on_ledger(
    provisioning_ids: Sequence[str],
    action: LedgerAction,
    *,
    is_one: bool,
    as_json: bool,
    exit_code: Callable[[Provisioning], int] = lambda _: EXIT_OK,
) -> int:
    """Apply the action to each provisioning and print the results; return the exit code.

    Of several, an operational error stops those that follow; the results until then are printed with it.

    Args:
        provisioning_ids: The provisionings.
        action: Changes one. It is repeated on the current version if another owner wrote in between.
        is_one: Whether the command names one provisioning: its error is raised, and JSON is one object.
        as_json: Print JSON instead of text.
        exit_code: The exit code of one provisioning after the change; `exit_code_of_several` combines them.

    Raises:
        AvatarsError: The only provisioning cannot be changed, or the ledger cannot be opened.

    """
    if not provisioning_ids:
        print_status("no provisioning matches")
    results = asyncio.run(_apply(provisioning_ids, action, is_one=is_one))
    if as_json:
        # An operational error stops the command, so there may be fewer results than ids.
        documents = [_to_json(key, result) for key, result in zip(provisioning_ids, results, strict=False)]
        print_json(documents[0] if is_one else documents)
    codes: list[int] = []
    for result in results:
        if isinstance(result, AvatarsError):
            print_error(result)
            codes.append(exit_code_for(result))
            continue
        codes.append(exit_code(result[0]))
        if not as_json:
            print_outcome(result[0])
    return codes[0] if is_one else exit_code_of_several(codes)


async def _apply(provisioning_ids: Sequence[str], action: LedgerAction, *, is_one: bool) -> list[Result]:
    results: list[Result] = []
    async with open_store(Settings.load(), SystemClock()) as store:
        for provisioning_id in provisioning_ids:
            try:
                results.append(await _apply_to_one(store, provisioning_id, action))
            except (RequestError, OperationalError) as error:
                if is_one:
                    raise
                results.append(error)
                if isinstance(error, OperationalError):
                    break
    return results


async def _apply_to_one(store: Store, provisioning_id: str, action: LedgerAction) -> Result:
    while True:
        try:
            changed = await action(store, await store.ledger.get(provisioning_id))
        except StaleVersion:
            continue  # the lease owner wrote in between: decide again on the current version
        return changed, await store.ledger.list_submissions(changed.id)


def _to_json(provisioning_id: str, result: Result) -> dict[str, Any]:
    if isinstance(result, AvatarsError):
        return {"id": provisioning_id, **error_view(result)}
    return provisioning_summary(*result)
