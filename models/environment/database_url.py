"""Parses AVATARS_DATABASE_URL: what the store passes to SQLite or asyncpg, or one plain error without the password.

Providers hand out URLs for libpq, whose parameters (`sslmode=require`) SQLAlchemy would pass to asyncpg as unknown
arguments. asyncpg reads them in a DSN: https://magicstack.github.io/asyncpg/current/api/index.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from models.errors import DatabaseError

SQLITE, POSTGRESQL = "sqlite+aiosqlite", "postgresql+asyncpg"
_URL_HINT = f"set it to {SQLITE}:////PATH or {POSTGRESQL}://USER:PASSWORD@HOST:PORT/NAME"
MAX_PORT = 65535
MAX_CONNECT_TIMEOUT_SECONDS = 3600
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SSL_SYNONYMS = {"true": "require", "false": "disable"}
_ADDRESS_PARAMETERS = frozenset({"host", "port"})
"""Understood by SQLAlchemy itself, also several of them."""
_DSN_PARAMETERS = frozenset(
    {
        *("user", "password", "dbname", "passfile", "service", "krbsrvname", "gsslib", "target_session_attrs"),
        *("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "sslcrl", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "application_name", "options"),
    }
)
_INTEGER_PARAMETERS = frozenset({"prepared_statement_cache_size", "statement_cache_size"})
_DEFAULTS_OF_LIBPQ = {"channel_binding": {"disable", "prefer"}, "gssencmode": {"disable", "prefer"}}
"""What asyncpg does not implement, with the values that mean the same without it."""
SESSION_ATTRIBUTES = ("any", "primary", "standby", "prefer-standby", "read-write", "read-only")
"""The values of target_session_attrs; the message of asyncpg names none of them."""
POSTGRESQL_PARAMETERS = sorted(
    {*_ADDRESS_PARAMETERS, *_DSN_PARAMETERS, *_INTEGER_PARAMETERS, *_DEFAULTS_OF_LIBPQ, "ssl", "connect_timeout"}
)
FILE_PARAMETERS = ("sslcert", "sslkey", "sslrootcert", "sslcrl", "passfile")
SQLITE_PARAMETERS = ("mode", "uri")
_SQLITE_MODES = ("ro", "rw", "rwc", "memory")


@dataclass(frozen=True)
class DatabaseUrl:
    """A database and how to connect to it."""

    url: URL
    """For SQLAlchemy, without the parameters in `connect_args`."""
    file: str | None = None
    """The path of a SQLite file; None for PostgreSQL and for a database in memory."""
    mode: str = "rwc"
    """How a SQLite file is opened: `ro` reads only, `rw` expects that the file exists, `rwc` creates it."""
    connect_args: Mapping[str, Any] = field(default_factory=dict)
    """The arguments of `asyncpg.connect` that the parameters of a PostgreSQL URL mean."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The files that asyncpg reads, by the parameter that names them."""

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite; otherwise it is PostgreSQL."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def redacted(self) -> str:
        """The URL as messages show it: without the password, and without parameters, which may contain another."""
        shown = self.url.set(database=self.file) if self.file else self.url
        return shown.set(query={}).render_as_string(hide_password=True)


def parse_database_url(text: str) -> DatabaseUrl:
    """Parse AVATARS_DATABASE_URL.

    Raises:
        DatabaseError: It is not a URL of SQLite or PostgreSQL, or has a parameter that is not supported, which the
            message names. The message contains neither the password nor a part of it.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # ValueError: the port, perhaps a part of a password with a colon
        url = None
    if url is None or url.drivername not in {SQLITE, POSTGRESQL}:
        raise DatabaseError(
            "AVATARS_DATABASE_URL is not a database URL",
            hint=f"{_URL_HINT}; write special characters of the password as %XX, for example @ as %40",
        )
    for name, value in url.query.items():
        if not isinstance(value, str) and name not in _ADDRESS_PARAMETERS:
            raise _parameter_error(name, "is repeated", "keep one of them")
    return _parse_sqlite(url) if url.drivername == SQLITE else _parse_postgresql(url)


def _parse_sqlite(url: URL) -> DatabaseUrl:
    if url.host or url.username or url.password or url.port:
        raise _error(
            "names a host, which SQLite does not have",
            f"write three slashes before a relative path and four before an absolute one: {SQLITE}:////PATH",
        )
    parameters = {name: str(value) for name, value in url.query.items()}
    path = url.database or ""
    if path.startswith("file:"):  # SQLite's own URI; `uri=true` asks for it
        path, _, _query = path.removeprefix("file:").partition("?")
        if path.startswith("//"):
            path = "/" + path.removeprefix("//").partition("/")[2]
    for name in parameters:
        if name not in SQLITE_PARAMETERS:
            raise _parameter_error(name, "is not supported", f"SQLite takes {' and '.join(SQLITE_PARAMETERS)}")
    mode = parameters.get("mode", "rwc")
    if mode not in _SQLITE_MODES:
        raise _parameter_error("mode", f"must be one of {', '.join(_SQLITE_MODES)}", "correct or remove it")
    if "\0" in path:
        raise _error("contains a NUL character", _URL_HINT)
    if path in {"", ":memory:"} or mode == "memory":
        return DatabaseUrl(url.set(database=":memory:", query={}))
    return DatabaseUrl(url.set(database=path, query={}), file=path, mode=mode)


def _parse_postgresql(url: URL) -> DatabaseUrl:
    parameters = {name: value for name, value in url.query.items() if isinstance(value, str)}
    _require_plain_parts(url)
    if not (url.database or parameters.get("dbname") or parameters.get("service")):
        raise _error("names no database", f"end it with the name of one: {POSTGRESQL}://USER:PASSWORD@HOST/NAME")
    unknown = sorted(name for name in url.query if name not in POSTGRESQL_PARAMETERS)
    if unknown:
        # A password with an unescaped @ and ? can end up here.
        name = "(not shown)" if any("@" in str(value) for value in url.query.values()) else unknown[0]
        raise _parameter_error(
            name, "is not supported", f"remove it; supported are {', '.join(POSTGRESQL_PARAMETERS)}"
        )
    for name, values in _DEFAULTS_OF_LIBPQ.items():
        if parameters.get(name, "disable") not in values:
            remedy = "remove it; sslmode=verify-full with sslrootcert authenticates the server"
            raise _parameter_error(name, f"{parameters[name]!r} is not implemented by asyncpg", remedy)
    arguments: dict[str, Any] = {
        name: _parse_integer(name, parameters) for name in _INTEGER_PARAMETERS & {*parameters}
    }
    if timeout := _parse_integer("connect_timeout", parameters):
        arguments["timeout"] = timeout
    dsn = {name: parameters[name] for name in sorted(_DSN_PARAMETERS & {*parameters})}
    if dsn.get("target_session_attrs", "any") not in SESSION_ATTRIBUTES:
        problem = f"must be one of {', '.join(SESSION_ATTRIBUTES)}"
        raise _parameter_error("target_session_attrs", problem, "correct or remove it")
    if (ssl_mode := _parse_ssl_mode(parameters)) is not None:
        dsn["sslmode"] = ssl_mode
    if dsn:
        arguments["dsn"] = f"postgresql://?{urlencode(dsn)}"
    address = url.set(query={name: value for name, value in url.query.items() if name in _ADDRESS_PARAMETERS})
    _require_usable_addresses(address)
    files = {name: parameters[name] for name in FILE_PARAMETERS if name in parameters}
    return DatabaseUrl(address, connect_args=arguments, files=files)


def _require_plain_parts(url: URL) -> None:
    """Raise DatabaseError if a special character of the password has moved a part of it into another field."""
    if "@" in f"{url.host}{url.database}":
        raise _error("has an @ in its host or database", "write each @ of the user name and the password as %40")
    if "\ufffd" in f"{url.username}{url.password}{url.database}":
        raise _error("has a % before digits that are not UTF-8", "write each % of the password as %25")
    query = (text for value in url.query.values() for text in value)  # of a string, each character
    if "\0" in f"{url.username}{url.password}{url.host}{url.database}{''.join(query)}":
        raise _error("contains a NUL character", "remove %00")


def _require_usable_addresses(url: URL) -> None:
    """Raise DatabaseError if SQLAlchemy, asyncpg or the resolver would fail with an error of their own.

    Args:
        url: Hosts and ports, of which the query can have several.
    """
    try:
        _, arguments = url.get_dialect()().create_connect_args(url)
        hosts, ports = (_as_list(arguments.get(name)) for name in ("host", "port"))
        for host in hosts:
            if not host.startswith("/"):  # otherwise the folder of a socket
                host.encode("idna")
    except (ArgumentError, ValueError):  # ValueError: a label of a host name is empty or too long
        raise _error(
            "has hosts or ports that cannot be used",
            "write host=HOST:PORT once for each host, or one host and port before the name of the database",
        ) from None
    if url.port is not None:
        ports.append(url.port)  # SQLAlchemy does not pass on a port of 0
    if not all(0 < port <= MAX_PORT for port in ports):
        raise _error("has an invalid port", f"choose one from 1 to {MAX_PORT}")


def _as_list(value: Any) -> list[Any]:
    """Return the hosts or ports of a connection: SQLAlchemy passes one as it is, several as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _parse_integer(name: str, parameters: Mapping[str, str]) -> int:
    text = parameters.get(name, "0")
    if not (text.isascii() and text.isdecimal() and int(text[:9]) <= MAX_CONNECT_TIMEOUT_SECONDS):
        raise _parameter_error(name, f"must be an integer from 0 to {MAX_CONNECT_TIMEOUT_SECONDS}", "correct it")
    return int(text)


def _parse_ssl_mode(parameters: Mapping[str, str]) -> str | None:
    """Return the value of `sslmode`, or of `ssl`, its name in asyncpg."""
    given = [name for name in ("sslmode", "ssl") if name in parameters]
    if not given:
        return None
    mode = _SSL_SYNONYMS.get(parameters[given[0]], parameters[given[0]])
    if len(given) > 1 or mode not in SSL_MODES:
        raise _parameter_error(" and ".join(given), f"must be one of {', '.join(SSL_MODES)}", "keep one sslmode")
    return mode


def _parameter_error(name: str, problem: str, remedy: str) -> DatabaseError:
    return _error(f"has a parameter that cannot be used: {name} {problem}", remedy)


def _error(problem: str, remedy: str) -> DatabaseError:
    return DatabaseError(f"AVATARS_DATABASE_URL {problem}", hint=remedy)
