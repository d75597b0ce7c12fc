"""`avatars automations`: Prefect automations that tell people what needs them, and mark dead runs."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from cli.console import print_json, result, say
from models.errors import PrefectError
from models.outcomes import EXIT_OK

automations = App(name="automations", help="Prefect automations that tell people what needs them.")


@automations.command
def apply(*, notify: str | None = None, json: Annotated[bool, Parameter(negative=())] = False) -> int:
    """Create the ready-made automations at the configured Prefect API, or update them; twice changes nothing.

    Parameters
    ----------
    notify
        TYPE-SLUG/NAME of the notification block to send messages through, as slack-webhook/ops.
    json
        Print one JSON array on stdout and nothing else.

    """
    from deployments import automations as ready_made
    from deployments.prefect_access import configured_api, require_access

    if (url := configured_api()) is None:
        raise PrefectError(
            "no Prefect API is configured", hint="set PREFECT_API_URL; `avatars up` prints the address of its own"
        )
    require_access(url)
    applied = asyncio.run(ready_made.apply(notify))
    if json:
        print_json([asdict(one) for one in applied])
    else:
        for one in applied:
            result.print(f"{one.result:<9}  {one.name}", markup=False, soft_wrap=True)
    if any(one.result == "left out" for one in applied):
        say("left out: what sends messages needs a block (--notify); where it is there already, it stays as it is")
    return EXIT_OK
