"""Runs a flow in this process and reads its outcome from the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from cli.console import narrated, print_json, say
from cli.tables import print_outcome
from models.clock import SystemClock
from models.document import document
from models.errors import AvatarsError
from models.outcomes import OUTCOMES
from models.provisioning import Provisioning, Submission
from models.settings import Settings
from tasks.api_key import api_key
from tasks.runtime import open_store

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

# What runs tell comes through `narrated`; Prefect's own words and tracebacks stay in its API.
PREFECT_LOGGING = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_LOGGING_LEVEL": "INFO"}


@contextlib.contextmanager
def ready_to_run(settings: Settings) -> Iterator[None]:
    """Check what a run needs, cheapest first, then make a Prefect API usable.

    Raises SettingsError, DatabaseError and PrefectError.
    """
    require_way_to_key(settings)
    asyncio.run(open_once(settings))
    for name, value in PREFECT_LOGGING.items():
        os.environ.setdefault(name, value)
    from deployments.prefect_api import prefect_api

    with prefect_api(say):
        asyncio.run(api_key(settings))
        gc.freeze()  # what is imported stays; collecting garbage need not look through it again and again
        yield


def require_way_to_key(settings: Settings) -> None:
    """Raise SettingsError at once, before a server is started, where there can be no API key."""
    if settings.argil_api_key is not None:
        return
    from deployments.prefect_access import may_keep_blocks

    if not settings.avatars_credentials_block or not may_keep_blocks():
        settings.require_api_key()


def find_key(settings: Settings) -> str:
    """Return the API key for who needs no run; where it may be in a Prefect that is not running, starts one to ask.

    Raises SettingsError and PrefectError.
    """
    require_way_to_key(settings)
    if settings.argil_api_key is not None:
        return settings.require_api_key()
    from deployments.prefect_api import prefect_api

    with prefect_api(say):
        return asyncio.run(api_key(settings))


async def open_once(settings: Settings) -> None:
    """Open the ledger and close it again, its tables up to date. Raises DatabaseError."""
    async with open_store(settings, SystemClock()):
        pass


async def error_of(state: State) -> AvatarsError | None:
    """Return the error that ended a run, if it did not end with an outcome."""
    data = await state.aresult(raise_on_failure=False)
    if isinstance(data, AvatarsError):
        return data
    if isinstance(data, BaseException):
        return AvatarsError(
            f"the run ended unexpectedly: {state.message}", hint="see the run's log in the Prefect UI"
        )
    return None


async def _outcome(settings: Settings, key: str) -> tuple[Provisioning, list[Submission]]:
    async with open_store(settings, SystemClock()) as (ledger, _, _):
        provisioning = await ledger.get(key)
        return provisioning, await ledger.submissions(provisioning.id)


async def _with_id(error: AvatarsError, settings: Settings, key: str) -> AvatarsError:
    """Name the provisioning in the error's way out, where it got as far as the ledger."""
    try:
        provisioning, _ = await _outcome(settings, key)
    except AvatarsError:
        return error
    error.hint = error.hint.replace("avatars resume ID", f"avatars resume {provisioning.id}")
    return error


def look_up(key: str) -> None:
    """Raise UnknownProvisioning at once, before a server is started, where the ledger knows no such key."""
    asyncio.run(_outcome(Settings.load(), key))


def see_through(start: Callable[[], Awaitable[State]], *, key: str | None, title: str, as_json: bool) -> int:
    """Run a flow to its end, print the outcome of its provisioning, and return the exit code.

    `key` is the provisioning's id or reference; None where the run's id is its reference. Raises what ended
    the run, where that was no outcome.
    """
    settings = Settings.load()
    with ready_to_run(settings):

        async def run() -> tuple[Provisioning, list[Submission]]:
            state = await start()
            reference = key or str(state.state_details.flow_run_id)
            if (error := await error_of(state)) is not None:
                raise await _with_id(error, settings, reference)
            return await _outcome(settings, reference)

        with narrated(title):
            provisioning, submissions = asyncio.run(run())
    if as_json:
        print_json(document(provisioning, submissions))
    else:
        print_outcome(provisioning)
    return OUTCOMES[provisioning.status].exit_code
