"""How child processes of our own modules are started: their command, and the environment variables of each kind.

A process that leaks its environment, by a fault of ours or of a library, then leaks only what it needs.
docs/security.md has the same table.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from models.recordings.store_credentials import CREDENTIAL_VARIABLES

OPERATING_SYSTEM = (
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TEMP", "TMP", "XDG_*"),
    *("LANG", "LANGUAGE", "LC_*", "TZ", "TZDIR", "TERM", "COLUMNS", "NO_COLOR", "FORCE_COLOR"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_*", "MALLOC_*", "GLIBC_TUNABLES"),
)
PYTHON = (
    *("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONPLATLIBDIR", "PYTHONUSERBASE", "PYTHONNOUSERSITE"),
    *("PYTHONIOENCODING", "PYTHONUTF8", "PYTHONCOERCECLOCALE", "PYTHONUNBUFFERED", "PYTHONWARNINGS"),
    *("PYTHONHASHSEED", "PYTHONOPTIMIZE", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONEXECUTABLE"),
    *("PYTHONDEVMODE", "PYTHONDEBUG", "PYTHONVERBOSE", "PYTHONASYNCIODEBUG", "PYTHONPROFILEIMPORTTIME"),
    *("PYTHONFAULTHANDLER", "PYTHONTRACEMALLOC", "PYTHONMALLOC", "PYTHONMALLOCSTATS", "PYTHONPERFSUPPORT"),
    *("PYTHONINTMAXSTRDIGITS", "PYTHON_CPU_COUNT", "PYTHON_GIL", "PYTHON_JIT"),
    *("DO_NOT_TRACK", "VIRTUAL_ENV", "CONDA_PREFIX", "COVERAGE_*", "COV_CORE_*"),
)
"""By name: a pattern such as `PYTHON*` would include PYTHONANYWHERE_API_TOKEN."""
NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "OPENSSL_*"),
)
POSTGRESQL = (
    *("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE"),
    *("PGSSL*", "PGTARGETSESSIONATTRS", "PGKRBSRVNAME", "PGGSSLIB", "KRB5*"),
)
"""The variables of libpq that asyncpg reads, and those of Kerberos. `PG*` would include PGP_PASSPHRASE."""
PREFECT = ("PREFECT_*",)
PREFECT_SERVER_ONLY = ("PREFECT_SERVER_*", "PREFECT_API_DATABASE_*", "PREFECT_REDIS_*")
"""Settings of a Prefect server, its database password among them. PREFECT_API_DATABASE_* are former names."""

NO_TELEMETRY = {"DO_NOT_TRACK": "1"}
"""Prefect sends usage data to Amplitude when it is imported, unless this variable is set. A set value is kept."""

_EVERY_PROCESS = (*OPERATING_SYSTEM, *PYTHON, *NETWORK)


@dataclass(frozen=True)
class InheritedVariables:
    """The variables that one kind of child process receives from its parent.

    Attributes:
        allowed: Names or patterns (`*` stands for any characters) of variables to pass on.
        withheld: Names or patterns of exceptions to `allowed`.
    """

    allowed: tuple[str, ...]
    withheld: tuple[str, ...] = ()

    def select(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of `environment` that this kind of process receives, and those of NO_TELEMETRY."""
        return NO_TELEMETRY | {
            name: _without_empty_entries(value) if name == "PYTHONPATH" else value
            for name, value in environment.items()
            if matches_any(name, self.allowed) and not matches_any(name, self.withheld)
        }


TOOL = InheritedVariables(_EVERY_PROCESS)
"""A process that needs no setting, for example the one that makes sample videos."""
INSPECTOR = InheritedVariables((*OPERATING_SYSTEM, *PYTHON))
"""A process that reads the bytes of strangers, with FFmpeg or as a workbook: not even a proxy, whose URL may hold a
password."""
PREFECT_SERVER = InheritedVariables((*_EVERY_PROCESS, *PREFECT, *POSTGRESQL), withheld=("PREFECT_API_KEY",))
"""The embedded Prefect server, which knows neither Argil nor the ledger."""
PREFECT_SETTINGS = InheritedVariables((*_EVERY_PROCESS, *PREFECT))
"""A process that reads the settings of Prefect's client and server."""
PREFECT_CLIENT = InheritedVariables((*_EVERY_PROCESS, *PREFECT), withheld=PREFECT_SERVER_ONLY)
"""A process that calls the Prefect API only."""
LEDGER = InheritedVariables((*_EVERY_PROCESS, *POSTGRESQL, "AVATARS_*"), withheld=("AVATARS_WEBHOOK_TOKEN",))
"""A process that opens the ledger only."""
WEBHOOK_RECEIVER = InheritedVariables((*_EVERY_PROCESS, *POSTGRESQL, "AVATARS_*"))
"""The webhook receiver, which strangers can reach: the ledger and the webhook token."""
SERVICE = InheritedVariables(
    (*_EVERY_PROCESS, *PREFECT, *POSTGRESQL, *CREDENTIAL_VARIABLES, "AVATARS_*", "ARGIL_*"),
    withheld=PREFECT_SERVER_ONLY,
)
"""The runner and its flow runs, which call Argil and Prefect, write to the ledger and read recordings in stores."""


def _without_empty_entries(search_path: str) -> str:
    """Return the search path without the entries that Python reads as the working directory."""
    return os.pathsep.join(filter(None, search_path.split(os.pathsep)))


def python_command(module: str, *args: str) -> list[str]:
    """Return the command that runs a module with this interpreter.

    `-P` keeps the working directory out of `sys.path`: a models.py or httpx.py there would replace ours.
    """
    return [sys.executable, "-P", "-m", module, *args]


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Return whether the name of a variable matches one of the patterns, in any case.

    Settings reads `argil_api_key` as ARGIL_API_KEY, and clients read `https_proxy` as HTTPS_PROXY.
    """
    return any(fnmatchcase(name.upper(), pattern) for pattern in patterns)
