"""AVATARS_DATABASE_URL: the parameters that providers hand out, passwords, and plain errors without secrets."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from models.environment.database_url import SQLITE_PARAMETERS, SSL_MODES, DatabaseUrl, parse_database_url
from models.errors import DatabaseError

SERVER = "postgresql+asyncpg://ada:canary-password@db.example:5432/ledger"
FILE = "sqlite+aiosqlite:////data/ledger.db"


def url_error(text: str) -> str:
    with pytest.raises(DatabaseError) as caught:
        parse_database_url(text)
    assert caught.value.hint
    shown = f"{caught.value}{caught.value.hint}{caught.value.__cause__}"
    assert "canary" not in shown
    return str(caught.value)


def dsn_of(url: DatabaseUrl) -> dict[str, list[str]]:
    """Return the parameters that asyncpg reads, as it parses them."""
    return parse_qs(urlsplit(url.connect_args.get("dsn", "")).query, strict_parsing="dsn" in url.connect_args)


PROVIDERS = {
    "Supabase": (f"{SERVER}?sslmode=require", {"sslmode": ["require"]}),
    "RDS": (
        f"{SERVER}?sslmode=verify-full&sslrootcert=/etc/rds/global-bundle.pem",
        {"sslmode": ["verify-full"], "sslrootcert": ["/etc/rds/global-bundle.pem"]},
    ),
    "client certificate": (
        f"{SERVER}?sslmode=verify-ca&sslcert=/a%20b/c.pem&sslkey=/k.pem&sslpassword=p%26q",
        {"sslmode": ["verify-ca"], "sslcert": ["/a b/c.pem"], "sslkey": ["/k.pem"], "sslpassword": ["p&q"]},
    ),
    "Azure": (
        "postgresql+asyncpg://ada%40server:p@server.postgres.database.azure.com/ledger?sslmode=require",
        {"sslmode": ["require"]},
    ),
    "Neon": (
        f"{SERVER}?sslmode=require&channel_binding=prefer&options=endpoint%3Dep-1",
        {"sslmode": ["require"], "options": ["endpoint=ep-1"]},
    ),
    "failover": (
        "postgresql+asyncpg://ada:p@/ledger?host=a:5432&host=b:5433&target_session_attrs=read-write",
        {"target_session_attrs": ["read-write"]},
    ),
    "name": (f"{SERVER}?application_name=avatars%20batch", {"application_name": ["avatars batch"]}),
    "asyncpg": (f"{SERVER}?ssl=require", {"sslmode": ["require"]}),
    "Heroku": (f"{SERVER}?ssl=true", {"sslmode": ["require"]}),
    "defaults": (f"{SERVER}?gssencmode=disable&channel_binding=disable", {}),
}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_parameters_of_libpq_reach_asyncpg(provider: str) -> None:
    text, dsn = PROVIDERS[provider]
    url = parse_database_url(text)
    assert dsn_of(url) == dsn
    assert set(url.url.query) <= {"host"}
    assert url.redacted.startswith("postgresql+asyncpg://ada")
    assert "?" not in url.redacted


@pytest.mark.parametrize("mode", SSL_MODES)
def test_each_ssl_mode_is_supported(mode: str) -> None:
    assert dsn_of(parse_database_url(f"{SERVER}?sslmode={mode}")) == {"sslmode": [mode]}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("connect_timeout=5", {"timeout": 5}),
        ("connect_timeout=0", {}),
        ("statement_cache_size=0", {"statement_cache_size": 0}),
        ("prepared_statement_cache_size=0", {"prepared_statement_cache_size": 0}),
    ],
)
def test_numbers_become_arguments_of_asyncpg(parameters: str, expected: dict[str, Any]) -> None:
    assert parse_database_url(f"{SERVER}?{parameters}").connect_args == expected


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *(("sslmode", value) for value in ("yes", "required", "verify_full", "canary")),
        *(("connect_timeout", value) for value in ("-1", "1.5", "5s", "9" * 99, "٣", "3601")),
        *(("target_session_attrs", value) for value in ("master", "read_write", "canary")),
        *(("channel_binding", value) for value in ("require", "yes")),
        *(("gssencmode", "require"), ("pgbouncer", "true"), ("schema", "canary"), ("connection_limit", "1")),
        *(("uselibpqcompat", "true"), ("keepalives", "1"), ("command_timeout", "1"), ("nonsense", "canary")),
        *(("server_settings", "x"), ("async_creator_fn", "x"), ("sslMode", "require"), ("plugin", "x")),
    ],
)
def test_other_parameter_is_an_error_that_names_it(parameter: str, value: str) -> None:
    assert f": {parameter} " in url_error(f"{SERVER}?{parameter}={value}")


def test_repeated_parameter_is_an_error() -> None:
    assert "sslmode is repeated" in url_error(f"{SERVER}?sslmode=require&sslmode=disable")
    assert "sslmode and ssl" in url_error(f"{SERVER}?sslmode=require&ssl=disable")


@pytest.mark.parametrize("password", ["p@:/?#%&=+ w", "schlüssel-日本", "%2F", "p%40"])
def test_escaped_password_is_passed_as_it_is(password: str) -> None:
    url = parse_database_url(f"postgresql+asyncpg://ada:{quote(password, safe='')}@h/ledger?sslmode=require")
    assert (url.url.password, url.url.host, url.url.database) == (password, "h", "ledger")
    assert password not in url.redacted


@pytest.mark.parametrize("password", ["canary:x", "canary/x", "canary?x", "canary#x", "canary%x", "canary x"])
def test_password_without_at_sign_needs_no_escapes(password: str) -> None:
    url = parse_database_url(f"postgresql+asyncpg://ada:{password}@h/ledger")
    assert (url.url.password, url.url.host, url.url.database) == (password, "h", "ledger")
    assert "canary" not in url.redacted


@pytest.mark.parametrize(
    "text",
    [
        *("postgresql+asyncpg://ada:p@canary@h/ledger", "postgresql+asyncpg://ada:p@x/canary@h/ledger"),
        *("postgresql+asyncpg://ada/canary:p@h/ledger", "postgresql+asyncpg://ada:p@x:1@canary/ledger"),
        *("postgresql+asyncpg://ada:p@x?canary@h/ledger", "postgresql+asyncpg://ada:p@x/y?canary=z@h/ledger"),
        *("postgresql+asyncpg://ada:p@x:canary@h/ledger", "postgresql+asyncpg://ada:canary%ff@h/ledger"),
        *("postgresql+asyncpg://ada:canary@h", "postgresql+asyncpg://ada:canary@h/", "postgresql+asyncpg://"),
        *("postgresql+asyncpg://ada:canary@h:99999/ledger", "postgresql+asyncpg://ada:canary@h:port/ledger"),
        *("postgresql+asyncpg://ada:canary@h:0/ledger", "postgresql+asyncpg://ada:canary@h:-1/ledger"),
        *(f"postgresql+asyncpg://ada:canary@{host}/ledger" for host in ("a..b", f"{'a' * 64}.example")),
        *(f"{SERVER}?{hosts}" for hosts in ("host=a&host=b", "port=1&port=2", "port=x", "host=a,b&port=1")),
        *(f"postgresql+asyncpg://ada:canary@/ledger?host=a&port={port}" for port in ("65536", "-1", "0", "1,2")),
        *(f"postgresql+asyncpg://ada:canary@/ledger?host={host}" for host in ("a:1&host=b:65536", "a..b")),
        *(f"{SERVER}?{name}=x%00canary" for name in ("user", "password", "dbname", "sslcert", "host")),
        *("postgresql+asyncpg://ada%00:canary@h/ledger", "postgresql+asyncpg://ada:canary%00@h/ledger"),
        *("postgresql+asyncpg://ada:canary@h/ledger%00"),
        *("mysql://ada:canary@h/ledger", "postgres://ada:canary@h/ledger", "postgresql://ada:canary@h/ledger"),
        *("postgresql+psycopg://ada:canary@h/ledger", "sqlite:///canary.db", "canary", "", "://canary"),
        *("sqlite+aiosqlite://canary.db", "sqlite+aiosqlite://data/canary.db", "sqlite+aiosqlite:///canary\0.db"),
    ],
)
def test_url_that_cannot_be_used_is_a_plain_error(text: str) -> None:
    assert url_error(text).startswith("AVATARS_DATABASE_URL ")


@pytest.mark.parametrize(
    ("text", "file", "mode"),
    [
        (FILE, "/data/ledger.db", "rwc"),
        (f"{FILE}?mode=ro", "/data/ledger.db", "ro"),
        (f"{FILE}?mode=rw", "/data/ledger.db", "rw"),
        ("sqlite+aiosqlite:///ledger.db", "ledger.db", "rwc"),
        ("sqlite+aiosqlite:///file:/data/ledger.db?mode=ro&uri=true", "/data/ledger.db", "ro"),
        ("sqlite+aiosqlite:///file:///data/ledger.db?uri=true", "/data/ledger.db", "rwc"),
        ("sqlite+aiosqlite:///file://localhost/data/ledger.db?uri=true", "/data/ledger.db", "rwc"),
        ("sqlite+aiosqlite:////a%20b/l%3F.db", "/a b/l?.db", "rwc"),
        ("sqlite+aiosqlite://", None, "rwc"),
        ("sqlite+aiosqlite:///:memory:", None, "rwc"),
        ("sqlite+aiosqlite:///file:x?mode=memory&uri=true", None, "rwc"),
    ],
)
def test_sqlite_url_names_file_and_mode(text: str, file: str | None, mode: str) -> None:
    url = parse_database_url(text)
    assert (url.is_sqlite, url.file, url.mode, url.url.query) == (True, file, mode, {})


@pytest.mark.parametrize("parameter", ["timeout=5", "cache=shared", "immutable=1", "sslmode=require", "mode=wr"])
def test_other_parameter_of_sqlite_is_an_error(parameter: str) -> None:
    assert f": {parameter.partition('=')[0]} " in url_error(f"{FILE}?{parameter}")
    assert "timeout" not in SQLITE_PARAMETERS
