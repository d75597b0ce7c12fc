"""Run a flow in this process and read its outcome from the ledger."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from cli.console import print_json, print_status, show_run_log
from cli.rendering import print_outcome
from models.clock import SystemClock
from models.environment.certificates import require_usable_certificates
from models.errors import AvatarsError, PrefectError, UnknownAvatars
from models.outcomes import OUTCOMES
from models.provisioning import Provisioning, Status, Submission
from models.reports.json_views import provisioning_summary
from models.settings import Settings
from services.api_key import resolve_api_key
from services.store import open_store

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

# `show_run_log` prints the run log. Prefect's own log records and tracebacks are kept in its API only.
PREFECT_LOGGING = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_LOGGING_LEVEL": "INFO"}


@contextlib.contextmanager
def prepared_environment(settings: Settings) -> Iterator[None]:
    """Check API key and ledger, then start a Prefect server on loopback unless an API is configured.

    Raises:
        SettingsError: No API key is configured.
        DatabaseError: The ledger cannot be opened.
        PrefectError: The Prefect API cannot be used.

    """
    require_key_source(settings)
    asyncio.run(check_database(settings))
    for name, value in PREFECT_LOGGING.items():
        os.environ.setdefault(name, value)
    from prefect.exceptions import TerminationSignal

    from deployments.embedded.prefect_session import ensure_prefect_api

    with ensure_prefect_api(print_status, settings):
        asyncio.run(resolve_api_key(settings))
        gc.freeze()  # exempt the imported modules from garbage collection: they live until the process ends
        try:
            yield
        except TerminationSignal:  # Prefect raises it for a SIGTERM during a run
            raise KeyboardInterrupt from None


def require_key_source(settings: Settings) -> None:
    """Raise SettingsError before a server is started if no API key can be configured, or no TLS context made.

    Prefect itself makes one when it is imported, and would print a traceback.
    """
    require_usable_certificates()
    if settings.argil_api_key is not None:
        return
    from deployments.embedded.prefect_connection import can_store_blocks

    if not settings.avatars_credentials_block or not can_store_blocks():
        settings.require_api_key()


def load_api_key(settings: Settings) -> str:
    """Return the API key for a command that runs no flow.

    Starts a Prefect server if the key may be in a block and no API is configured.

    Raises:
        SettingsError: No API key is configured.
        PrefectError: The Prefect API cannot be used.

    """
    require_key_source(settings)
    if settings.argil_api_key is not None:
        return settings.require_api_key()
    from deployments.embedded.prefect_session import ensure_prefect_api

    with ensure_prefect_api(print_status, settings):
        return asyncio.run(resolve_api_key(settings))


async def check_database(settings: Settings) -> None:
    """Open and close the ledger, which upgrades its tables; raises DatabaseError."""
    async with open_store(settings, SystemClock()):
        pass


async def run_flow(start: Callable[[], Awaitable[State]], subject: str) -> tuple[State, AvatarsError | None]:
    """Run a flow in this process.

    Args:
        start: Calls the flow and returns its final state.
        subject: What runs, for the error of Prefect.

    Returns:
        The final state, and the error that the run failed with; None if it ended with an outcome.

    Raises:
        PrefectError: Prefect raised an error instead of returning a state, for example because its API stopped.

    """
    from prefect.exceptions import Abort

    try:
        state = await start()
        return state, await _error_from_state(state)
    except (Exception, Abort) as error:  # noqa: BLE001  # Prefect's client documents no common class of errors
        raise PrefectError(
            f"{subject} failed in Prefect: {type(error).__name__}: {error}",
            hint="check the Prefect API with `avatars doctor`, then run the same command again",
        ) from None


async def run_for_error(start: Callable[[], Awaitable[State]], subject: str) -> AvatarsError | None:
    """Run a flow like `run_flow`, and return also the error that Prefect raised."""
    try:
        _, error = await run_flow(start, subject)
    except PrefectError as raised:
        return raised
    return error


async def _error_from_state(state: State) -> AvatarsError | None:
    data = await state.aresult(raise_on_failure=False)
    if isinstance(data, AvatarsError):
        return data
    if isinstance(data, BaseException):
        return AvatarsError(
            f"the run failed unexpectedly: {state.message}", hint="see the run's log in the Prefect UI"
        )
    return None


class RunOutcome(NamedTuple):
    """What the ledger has of a provisioning after a run."""

    provisioning: Provisioning
    submissions: list[Submission]
    is_released: bool


async def read_outcome(settings: Settings, key: str) -> RunOutcome:
    """Return the provisioning with its submissions. Raises UnknownProvisioning and DatabaseError."""
    async with open_store(settings, SystemClock()) as store:
        provisioning = await store.ledger.get(key)
        return RunOutcome(
            provisioning,
            await store.ledger.list_submissions(provisioning.id),
            await store.quarantine.is_released(provisioning),
        )


async def _add_provisioning_id(error: AvatarsError, settings: Settings, key: str) -> AvatarsError:
    """Put the provisioning's id into the error's hint if the ledger has the provisioning.

    After a restore, a request without its former reference is another request: it must not be submitted unnoticed
    once the avatar of the former one is known again.
    """
    try:
        provisioning = (await read_outcome(settings, key)).provisioning
    except AvatarsError:
        return error
    error.hint = error.hint.replace("avatars resume ID", f"avatars resume {provisioning.id}")
    if isinstance(error, UnknownAvatars) and provisioning.status is Status.ACCEPTED:
        error.hint += (
            f"; this request is on record as {provisioning.id} and is submitted when no avatar is unknown any "
            f"more: if it was made before under another reference, run `avatars cancel {provisioning.id}`"
        )
    elif provisioning.status is Status.ACCEPTED and provisioning.id not in error.hint:
        error.hint += (
            f"; the request is on record: `avatars resume {provisioning.id}` continues it, "
            f"`avatars cancel {provisioning.id}` withdraws it"
        )
    return error


async def run_one(start: Callable[[], Awaitable[State]], key: str | None, settings: Settings) -> RunOutcome:
    """Run the flow of one provisioning and return its outcome. Raises AvatarsError if the run has none."""
    state, error = await run_flow(start, "the run" if key is None else f"the run of provisioning {key}")
    reference = key or str(state.state_details.flow_run_id)
    if error is not None:
        raise await _add_provisioning_id(error, settings, reference)
    return await read_outcome(settings, reference)


def run_and_report(start: Callable[[], Awaitable[State]], *, key: str | None, title: str, as_json: bool) -> int:
    """Run a flow to completion and print the outcome of its provisioning.

    Args:
        start: Calls the flow and returns its final state.
        key: Id or reference of the provisioning; None if the reference is the flow run id.
        title: Text of the status line while the flow runs.
        as_json: Print JSON instead of text.

    Returns:
        The exit code of the outcome.

    Raises:
        AvatarsError: The run failed without an outcome.

    """
    settings = Settings.load()
    with prepared_environment(settings), show_run_log(title):
        provisioning, submissions, is_released = asyncio.run(run_one(start, key, settings))
    if as_json:
        print_json(provisioning_summary(provisioning, submissions))
    else:
        print_outcome(provisioning, is_released=is_released)
    return OUTCOMES[provisioning.status].exit_code
