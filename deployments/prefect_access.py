"""`python -m deployments.prefect_access`: how this environment reaches Prefect, for those who import no Prefect."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_HOME,
    PREFECT_SERVER_API_AUTH_STRING,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    temporary_settings,
)

from deployments.prefect_server import embedded_home
from models.errors import PrefectError
from models.redaction import redact, redact_url

TIMEOUT = httpx.Timeout(30, connect=5)
PLUGIN = "avatars-many-writers"
"""The name under which pyproject.toml registers deployments/prefect_sqlite.py."""
DATABASE = "sqlite+aiosqlite:///{}/prefect.db"
"""Prefect's own default, for a home."""
REFUSALS = {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}


def configured_api() -> str | None:
    """Return the URL of the Prefect API that the environment or the profile names, if any."""
    return PREFECT_API_URL.value() or None


def require_access(url: str) -> None:
    """Ask the configured Prefect API something that only those it knows may ask, as every run of ours will.

    Raises PrefectError where it does not answer, or not us.
    """
    shown = redact_url(url)
    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}),
            get_client({"timeout": TIMEOUT}, sync_client=True) as client,
        ):
            client.read_flows(limit=1)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code in REFUSALS:
            said = "does not take PREFECT_API_AUTH_STRING" if PREFECT_API_AUTH_STRING.value() else "asks who we are"
            raise PrefectError(
                f"the Prefect API at {shown} {said}",
                hint="set PREFECT_API_AUTH_STRING to the user:password that its server was started with",
            ) from None
        reason = redact(str(error).partition("\n")[0])
        raise PrefectError(
            f"no Prefect API answers at {shown}: {reason}",
            hint="start it, correct PREFECT_API_URL, or unset it to have one started",
        ) from None


def embedded_password() -> dict[str, str]:
    """Return the settings by which a server that we start and its clients agree on a password; none: it asks none.

    Raises PrefectError where they would not agree.
    """
    server = PREFECT_SERVER_API_AUTH_STRING.value()
    if server is None:
        return {}
    if not server:
        raise PrefectError(
            "PREFECT_SERVER_API_AUTH_STRING is empty: the server would let nobody in",
            hint="set it to user:password, or unset it",
        )
    if PREFECT_API_AUTH_STRING.value() not in {None, "", server}:
        raise PrefectError(
            "PREFECT_API_AUTH_STRING is not what the server that we start would ask for",
            hint="set it as PREFECT_SERVER_API_AUTH_STRING, or unset it to have that one used",
        )
    return dict.fromkeys((PREFECT_SERVER_API_AUTH_STRING.name, PREFECT_API_AUTH_STRING.name), server)


def may_keep_blocks() -> bool:
    """Whether the Prefect API that runs report to may hold a block: it is configured, or has run here before."""
    own = PREFECT_SERVER_DATABASE_CONNECTION_URL.value() != DATABASE.format(PREFECT_HOME.value())
    return configured_api() is not None or own or (embedded_home() / "prefect.db").exists()


def embedded_database(home: Path) -> dict[str, str]:
    """Return the setting by which the SQLite database of a server that we start takes many writers.

    That is the one configured, or else one under the server's home; none where another engine is configured.
    """
    url: str = PREFECT_SERVER_DATABASE_CONNECTION_URL.value()
    if url == DATABASE.format(PREFECT_HOME.value()):
        url = DATABASE.format(home)
    if not url.startswith("sqlite") or "?" in url:
        return {}
    return {PREFECT_SERVER_DATABASE_CONNECTION_URL.name: f"{url}?plugin={PLUGIN}"}


def _access() -> dict[str, object]:
    try:
        if url := configured_api():
            require_access(url)
            return {"url": url, "password": {}, "database": {}, "blocks": True}
        return {
            "url": None,
            "password": embedded_password(),
            "database": embedded_database(embedded_home()),
            "blocks": may_keep_blocks(),
        }
    except PrefectError as error:
        return {"message": error.message, "hint": error.hint}


if __name__ == "__main__":
    json.dump(_access(), sys.stdout)
