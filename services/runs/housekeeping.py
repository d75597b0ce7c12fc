"""Housekeeping at the Prefect API: if it fails, the tick that does it goes on, and the next tick tries again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import httpx
from prefect.exceptions import PrefectException
from pydantic import ValidationError

from services.run_log import log_to_run


async def keep_house(chore: Callable[[], Awaitable[int]], failure: str) -> int:
    """Return the result of a chore; if the Prefect API fails, log one warning and return 0.

    Args:
        chore: What to do. It must be harmless to leave it to the next tick.
        failure: What was not done then, as a clause.

    Raises:
        DatabaseError: The ledger fails, which the tick itself needs.
    """
    try:
        return await chore()
    except (httpx.HTTPError, PrefectException, ValidationError) as error:
        # Without the response of the server, which can repeat anything.
        log_to_run(
            "%s: the Prefect API failed (%s); the next scheduled run tries again",
            failure,
            type(error).__name__,
            level=logging.WARNING,
        )
        return 0
