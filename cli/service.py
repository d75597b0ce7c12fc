"""`avatars reconcile` and `avatars deploy`: for who runs the service."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cli.console import narrated, print_json, result, say
from cli.running import error_of, ready_to_run
from models.errors import PrefectError
from models.outcomes import EXIT_OK
from models.redaction import redact_url
from models.settings import Settings

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


def reconcile(*, json: bool = False) -> int:
    """Bring further what nobody drives, once; the schedule `reconcile-avatars` does so again and again.

    Parameters
    ----------
    json
        Print one JSON document on stdout and nothing else.

    """

    async def run() -> str:
        from flows.reconcile_avatars import reconcile_avatars

        state: State = await reconcile_avatars(return_state=True)
        if (error := await error_of(state)) is not None:
            raise error
        return state.message or ""

    with ready_to_run(Settings.load()), narrated("reconciling"):
        told = asyncio.run(run())
    if json:
        print_json({"told": told})
    else:
        result.print(told, markup=False)
    return EXIT_OK


def deploy(*, pool: str) -> int:
    """Register every deployment to a work pool, whose workers then run them. Doing it again changes nothing.

    Parameters
    ----------
    pool
        The name of the work pool; its workers need this project installed, and its settings.

    """
    from deployments.prefect_access import configured_api, require_access
    from deployments.registration import register

    if (url := configured_api()) is None:
        raise PrefectError("no Prefect API is configured", hint="set PREFECT_API_URL; `avatars up` needs none")
    require_access(url)
    for name in asyncio.run(register(Settings.load(), pool)):
        result.print(name, markup=False)
    say(f"registered at {redact_url(url)} for the work pool {pool!r}")
    return EXIT_OK
