"""The settings of a process that works with the simulator, whatever the machine is configured for.

A simulated avatar must reach no real ledger, and no real Prefect server, proxy or webhook receiver. Variables have
precedence over .env, prefect.toml and Prefect's profiles, so each setting that names something outside is set here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from models.environment.child_environment import matches_any
from models.settings import LEDGER_NAME, Settings, sqlite_url

BEHAVIOUR_SETTINGS = (
    *("AVATARS_*_SECONDS", "AVATARS_*_PER_SECOND", "AVATARS_*_LIMIT", "AVATARS_HASH_CONSENT_VIDEO"),
    *("AVATARS_MEDIA_CHECK", "AVATARS_MEDIA_*_AUDIO", "AVATARS_SIGNATURE_PARAMETERS", "AVATARS_IMAGE_CONSENT"),
    *("AVATARS_MAX_CREATES_PER_*", "AVATARS_CONFIRM_CREATES"),
)
"""Settings that name nothing outside of the process. `avatars up --simulate` keeps their configured values."""
KEPT_PREFECT_SETTINGS = (
    *("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_SERVER_API_CORS_*", "PREFECT_SERVER_CORS_*"),
    *("PREFECT_SERVER_ANALYTICS_ENABLED", "PREFECT_*LOGGING_*", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"),
    *("PREFECT_CLIENT_MAX_RETRIES", "PREFECT_RUNNER_*"),
)
"""Settings of Prefect that keep their configured values; all others are removed."""
REMOVED_VARIABLES = ("PREFECT_*", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_CLEANUP_QUEUE = "prefect.server.worker_communication.cleanup_queue.memory"
_MEMORY_ONLY = {
    "PREFECT_SERVER_DOCKET_URL": "memory://",
    "PREFECT_SERVER_EVENTS_MESSAGING_BROKER": "prefect.server.utilities.messaging.memory",
    "PREFECT_SERVER_EVENTS_MESSAGING_CACHE": "prefect.server.utilities.messaging.memory",
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect.server.events.ordering.memory",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.memory",
    "PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": _CLEANUP_QUEUE,
}
"""Prefect's defaults. A configured Redis would connect the simulated server with the real one."""


def simulated_settings(folder: Path, *, keeps_behaviour: bool) -> dict[str, str]:
    """Return the variables that separate a process from everything that is configured outside.

    Args:
        folder: Absolute path of the folder for the ledger and the Prefect database.
        keeps_behaviour: Whether BEHAVIOUR_SETTINGS keep their configured values; otherwise they get their defaults.

    Returns:
        Values by name; an empty value means that the setting is not set.
    """
    prefect_home = folder / "prefect"
    defaults = {
        name: _as_variable(Settings.model_fields[name.lower()].default)
        for name in map(str.upper, Settings.model_fields)
        if not (keeps_behaviour and matches_any(name, BEHAVIOUR_SETTINGS))
    }
    return {
        **defaults,
        "AVATARS_CREDENTIALS_BLOCK": "",
        "AVATARS_DATABASE_URL": sqlite_url(folder / LEDGER_NAME),
        "AVATARS_WEBHOOK_PORT": "0",
        "PREFECT_API_URL": "",
        "PREFECT_API_KEY": "",
        "PREFECT_API_AUTH_STRING": "",
        "PREFECT_HOME": str(prefect_home),
        "PREFECT_PROFILES_PATH": str(prefect_home / "profiles.toml"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": sqlite_url(prefect_home / "prefect.db"),
        "PREFECT_SERVER_MEMO_STORE_PATH": str(prefect_home / "memo_store.toml"),
        "PREFECT_SERVER_UI_API_URL": "",
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": "",
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(prefect_home / "storage"),
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        **_MEMORY_ONLY,
        "NO_PROXY": "*",
        "no_proxy": "*",
    }


def removed_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the variables of `environment` that a simulated process must not have, in alphabetical order."""
    return sorted(name for name in environment if _is_removed(name))


def _is_removed(name: str) -> bool:
    if name.lower() in Settings.model_fields:
        # Settings reads names in any case; only the upper-case name is set to another value.
        return not name.isupper() and not matches_any(name, BEHAVIOUR_SETTINGS)
    return matches_any(name, REMOVED_VARIABLES) and not matches_any(name, KEPT_PREFECT_SETTINGS)


def _as_variable(default: object) -> str:
    """Return the default of a setting as the value of a variable; a default that is computed or None is empty."""
    if isinstance(default, bool | int | float | str):
        return str(default)
    return ",".join(sorted(map(str, default))) if isinstance(default, Iterable) else ""
