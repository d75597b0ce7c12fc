"""The parameters of a PostgreSQL URL on a real server."""

from __future__ import annotations

import asyncio
import struct

import pytest
from sqlalchemy import make_url, text

from models.errors import DatabaseError
from store import migrate
from store.database import Database

on_postgresql = pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)
SSL_REQUEST = 80877103
"""The code in the first message of a client that asks for TLS."""


def with_parameters(url: str, **parameters: str) -> str:
    return make_url(url).update_query_dict(parameters).render_as_string(hide_password=False)


@on_postgresql
async def test_parameters_reach_the_server(database_url: str) -> None:
    url = with_parameters(
        database_url,
        sslmode="prefer",
        application_name="avatars test",
        options="-c statement_timeout=54321",
        connect_timeout="5",
        target_session_attrs="read-write",
        channel_binding="prefer",
    )
    database = Database(url)
    await migrate.upgrade(database)
    query = text("SELECT current_setting('application_name'), current_setting('statement_timeout')")
    row = await database.read(lambda connection: connection.execute(query).one())
    assert tuple(row) == ("avatars test", "54321ms")
    await database.close()


@on_postgresql
@pytest.mark.parametrize(
    "parameters",
    [
        {"sslmode": "verify-full"},
        {"options": "-c nonsense=1"},
        {"application_name": "a", "sslmode": "verify-ca", "ssl_min_protocol_version": "nonsense"},
    ],
)
async def test_parameter_that_the_server_refuses_is_a_clear_error(
    database_url: str, parameters: dict[str, str]
) -> None:
    database = Database(with_parameters(database_url, **parameters))
    with pytest.raises(DatabaseError, match="the ledger at") as caught:
        await migrate.upgrade(database)
    assert "\n" not in str(caught.value)
    await database.close()


@pytest.mark.parametrize(("mode", "asks_for_tls"), [("require", True), ("disable", False)])
async def test_ssl_mode_decides_whether_tls_is_required(mode: str, *, asks_for_tls: bool) -> None:
    codes = []

    async def refuse_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        codes.append(struct.unpack(">II", await reader.readexactly(8))[1])
        writer.write(b"N")
        writer.close()

    server = await asyncio.start_server(refuse_tls, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    database = Database(f"postgresql+asyncpg://ada:canary@127.0.0.1:{port}/ledger?sslmode={mode}")
    with pytest.raises(DatabaseError) as caught:
        await migrate.upgrade(database)
    assert ("SSL" in str(caught.value)) == asks_for_tls
    assert {code == SSL_REQUEST for code in codes} == {asks_for_tls}
    assert "canary" not in f"{caught.value}{caught.value.hint}"
    await database.close()
    server.close()
