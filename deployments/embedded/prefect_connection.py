"""Reads how this environment connects to Prefect.

`python -m deployments.embedded.prefect_connection` prints it as JSON, for processes that do not import Prefect.
"""

from __future__ import annotations

import json
import re
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

from deployments.embedded.prefect_server import embedded_home
from models.errors import PrefectError, SettingsError
from models.settings import sqlite_url
from models.text.redaction import redact
from models.text.url_redaction import redact_url

TIMEOUT = httpx.Timeout(30, connect=5)
SQLITE_PLUGIN_NAME = "avatars-begin-immediate"
"""The name under which pyproject.toml registers deployments/embedded/sqlite_immediate.py."""
DEFAULT_DATABASE_URL_TEMPLATE = "sqlite+aiosqlite:///{}/prefect.db"
"""Prefect's default database URL; the argument is the Prefect home directory."""
_AUTH_STRING = re.compile(r"[!-9;-~]([ -9;-~]*[!-9;-~])?:[!-~]([ -~]*[!-~])?")
"""`user:password`; the user has no colon, and both begin and end with a visible ASCII character."""
AUTH_ERRORS = {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}


def configured_api_url() -> str | None:
    """Return the URL of the Prefect API that the environment or the Prefect profile sets, or None."""
    return PREFECT_API_URL.value() or None


def verify_access(url: str) -> None:
    """Send the configured Prefect API one request that requires authentication.

    Raises:
        SettingsError: The configured password cannot be used.
        PrefectError: The API does not respond or rejects the credentials.
    """
    _check_auth_strings()
    redacted_url = redact_url(url)
    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}),
            get_client({"timeout": TIMEOUT}, sync_client=True) as client,
        ):
            client.read_flows(limit=1)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code in AUTH_ERRORS:
            problem = (
                "rejects PREFECT_API_AUTH_STRING" if PREFECT_API_AUTH_STRING.value() else "requires authentication"
            )
            raise PrefectError(
                f"the Prefect API at {redacted_url} {problem}",
                hint="set PREFECT_API_AUTH_STRING to the user:password that the Prefect server was started with",
            ) from None
        reason = redact(str(error).partition("\n")[0])
        raise PrefectError(
            f"no Prefect API responds at {redacted_url}: {reason}",
            hint="start it, correct PREFECT_API_URL, or unset PREFECT_API_URL to use an embedded server",
        ) from None


def check_auth_string(name: str, text: str | None) -> None:
    """Check that a password can be sent and compared; an empty one is not checked here.

    Args:
        name: Name of the setting.
        text: Its value.

    Raises:
        SettingsError: The text is not user:password, or not printable ASCII. Prefect's server compares ASCII only;
            RFC 7617 splits at the first colon and admits no control characters.
    """
    if text and not _AUTH_STRING.fullmatch(text):
        raise SettingsError(
            f"{name} must be user:password in printable ASCII, without white space around either",
            hint=f"set {name} to a user name, a colon and a password, or unset it",
        )


def _check_auth_strings() -> None:
    for setting in (PREFECT_SERVER_API_AUTH_STRING, PREFECT_API_AUTH_STRING):
        check_auth_string(setting.name, setting.value())


def embedded_auth_settings() -> dict[str, str]:
    """Return the authentication settings of an embedded server and its clients; empty if it needs no password.

    Raises:
        SettingsError: A configured password cannot be used.
        PrefectError: The configured passwords of server and clients differ, or the server's is empty.
    """
    _check_auth_strings()
    server = PREFECT_SERVER_API_AUTH_STRING.value()
    if server is None:
        return {}
    if not server:
        raise PrefectError(
            "PREFECT_SERVER_API_AUTH_STRING is empty: the server would reject every client",
            hint="set PREFECT_SERVER_API_AUTH_STRING to user:password, or unset it",
        )
    if PREFECT_API_AUTH_STRING.value() not in {None, "", server}:
        raise PrefectError(
            "PREFECT_API_AUTH_STRING differs from PREFECT_SERVER_API_AUTH_STRING of the embedded server",
            hint="set both to the same user:password, or unset PREFECT_API_AUTH_STRING",
        )
    return dict.fromkeys((PREFECT_SERVER_API_AUTH_STRING.name, PREFECT_API_AUTH_STRING.name), server)


def can_store_blocks() -> bool:
    """Return whether the Prefect API may contain a credentials block.

    A new embedded server has an empty database; a configured API, a configured database or an earlier one may
    contain blocks.
    """
    has_own_database = PREFECT_SERVER_DATABASE_CONNECTION_URL.value() != DEFAULT_DATABASE_URL_TEMPLATE.format(
        PREFECT_HOME.value()
    )
    return configured_api_url() is not None or has_own_database or (embedded_home() / "prefect.db").exists()


def embedded_database_settings(home: Path) -> dict[str, str]:
    """Return the setting that makes the SQLite database of an embedded server accept concurrent writers.

    Args:
        home: The server's home directory, which contains the database unless one is configured.

    Returns:
        The database URL with our SQLAlchemy plugin. Empty if the configured URL has a query or is not SQLite.
    """
    url: str = PREFECT_SERVER_DATABASE_CONNECTION_URL.value()
    if url == DEFAULT_DATABASE_URL_TEMPLATE.format(PREFECT_HOME.value()):
        url = sqlite_url(home / "prefect.db")
    if not url.startswith("sqlite") or "?" in url:
        return {}
    return {PREFECT_SERVER_DATABASE_CONNECTION_URL.name: f"{url}?plugin={SQLITE_PLUGIN_NAME}"}


def _describe_access() -> dict[str, object]:
    try:
        if url := configured_api_url():
            verify_access(url)
            return {"url": url, "password": {}, "database": {}, "blocks": True}
        return {
            "url": None,
            "password": embedded_auth_settings(),
            "database": embedded_database_settings(embedded_home()),
            "blocks": can_store_blocks(),
        }
    except (PrefectError, SettingsError) as error:
        return {"message": error.message, "hint": error.hint}


if __name__ == "__main__":
    json.dump(_describe_access(), sys.stdout)
