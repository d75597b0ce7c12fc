"""The check of `avatars doctor` that compares the account at Argil with the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from cli.argil_client import argil_client
from cli.diagnostics import DiagnosticResult
from models.argil.unknown_avatars import REMEDY, UnknownAvatar
from models.clock import Clock, SystemClock
from models.errors import AvatarsError
from models.service_health import format_age
from models.settings import Settings
from services.account.empty_lists import EmptyListCheck
from services.store import Store, open_store
from store.unknown_avatars import UnknownAvatarRepository

CHECK = "Avatars at Argil"
MAX_NAMED = 20
"""Unknown avatars that are shown, with their names: the output of a command is not stored."""


async def check_account(settings: Settings, key: str, *, is_available: bool) -> DiagnosticResult:
    """List the account and return which of its avatars the ledger does not know.

    If Argil is not available, or the list call fails, the result is that of the last list call of any process.
    """
    clock = SystemClock()
    try:
        async with open_store(settings, clock) as store:
            problem = "; the account was not listed"
            if is_available:
                problem = await _compare(settings, key, store)
            undecided = await store.unknown_avatars.list_undecided(MAX_NAMED)
            if undecided and not settings.avatars_ignore_unknown:
                count = await store.unknown_avatars.count_undecided()
                detail = f"new submissions wait: this ledger does not know {_describe(undecided, count)}{problem}"
                return DiagnosticResult(CHECK, ok=False, detail=detail, hint=REMEDY)
            ignored = await _describe_ignored(store.unknown_avatars, clock)
    except AvatarsError as error:
        return DiagnosticResult.from_error(CHECK, error)
    return DiagnosticResult(CHECK, ok=True, detail=f"no unknown avatar waits for a decision{ignored}{problem}")


async def _compare(settings: Settings, key: str, store: Store) -> str:
    """Compare the account with the ledger; return why that was not possible, empty if it was."""
    try:
        async with argil_client(settings, key) as client:
            account = await client.list_account()
            await EmptyListCheck(store.ledger, store.unknown_avatars).check(client, account)
            await store.unknown_avatars.compare(account)
    except AvatarsError as error:
        return f"; the account could not be listed: {error.message}"
    return f"; {account.incomplete_because}" if account.incomplete_because else ""


def _describe(avatars: Sequence[UnknownAvatar], count: int) -> str:
    named = [f"{avatar.label} ({avatar.name})" if avatar.name else avatar.label for avatar in avatars]
    more = f", and {count - len(avatars):,} more" if count > len(avatars) else ""
    return f"the submissions of {count:,}: {', '.join(named)}{more}"


async def _describe_ignored(unknown_avatars: UnknownAvatarRepository, clock: Clock) -> str:
    latest = await unknown_avatars.latest_ignored()
    if latest is None:
        return ""
    count = await unknown_avatars.count_ignored()
    age = format_age(latest.ignored_at, clock.now())
    return f"; {count:,} unknown to this ledger are ignored, last decided by {latest.ignored_by} {age}"
