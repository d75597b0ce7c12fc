"""The simulated environment of `demo`, `simulate` and `up --simulate`: Argil's API and a host of sample videos."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.environment.private_files import create_private_file
from models.environment.regular_files import find_same_file
from models.environment.simulated_settings import removed_variables, simulated_settings
from models.errors import AvatarsError, SettingsError
from models.settings import LEDGER_NAME, Settings, sqlite_url
from services.store import find_ledger_file
from simulator.media_host import MediaHost, running_media_host
from simulator.server import ArgilSimulator, run_argil
from simulator.uvicorn_thread import HOST

MARKER = "simulated"
"""An empty file in each folder whose ledger has simulated avatars."""


@dataclass(frozen=True)
class SimulatedEnvironment:
    """A running simulator.

    Attributes:
        argil: The simulated API.
        media: The host of the videos.
        videos: The folder that the video host serves.
        data: The folder of the ledger and the Prefect database.
    """

    argil: ArgilSimulator
    media: MediaHost
    videos: Path
    data: Path

    def settings(self, *, keeps_behaviour: bool) -> dict[str, str]:
        """Return the variables that connect `avatars` to the simulator and to nothing else.

        Args:
            keeps_behaviour: Whether the settings that name nothing outside keep their configured values.
        """
        return {
            **simulated_settings(self.data, keeps_behaviour=keeps_behaviour),
            "ARGIL_API_URL": self.argil.api_url,
            "ARGIL_API_KEY": self.argil.api_key,
            "AVATARS_MEDIA_ALLOWED_HOSTS": HOST,
            "SSL_CERT_FILE": str(self.media.ca_file),
        }

    def apply(self, *, keeps_behaviour: bool) -> None:
        """Give this process and its children the settings of `settings`, before Prefect is imported."""
        for name in removed_variables(os.environ):
            del os.environ[name]
        os.environ.update(self.settings(keeps_behaviour=keeps_behaviour))


@contextlib.contextmanager
def simulated_environment(
    *, training_seconds: float, port: int = 0, media_port: int = 0, data_dir: Path | None = None
) -> Iterator[SimulatedEnvironment]:
    """Run the simulator while the context is open.

    Args:
        training_seconds: Duration of a simulated training.
        port: Port of the API; 0 selects a free port.
        media_port: Port of the video host; 0 selects a free port.
        data_dir: Folder for the ledger and the Prefect database. The default is a temporary folder, because the
            avatars of a simulator end with it.

    Raises:
        OSError: A port is in use.
        SettingsError: The extra `demo` is not installed, or the folder cannot be used or has a ledger that is not
            simulated.
    """
    _require_demo_extra()
    with (
        tempfile.TemporaryDirectory(prefix="avatars-simulated-") as folder,
        run_argil(port=port, training_seconds=training_seconds) as argil,
    ):
        videos = Path(folder, "videos")
        videos.mkdir()
        data = _resolve(data_dir or Path(folder))
        _prepare(data)
        with running_media_host(videos, port=media_port) as media:
            yield SimulatedEnvironment(argil, media, videos, data)


def _resolve(folder: Path) -> Path:
    try:
        return folder.expanduser().resolve()
    except (OSError, RuntimeError):  # a loop of links; no home folder
        raise _data_dir_error(folder, "it is not a valid path") from None


def _prepare(data: Path) -> None:
    """Create the folder for the ledger and the Prefect database, and mark it as simulated."""
    ledger = data / LEDGER_NAME
    if (configured := _configured_ledger()) and find_same_file(ledger, {LEDGER_NAME: configured}):
        raise SettingsError(
            f"the folder {data} has the ledger that AVATARS_DATABASE_URL configures, or its default",
            hint="choose another folder with --data-dir",
        )
    try:
        sqlite_url(ledger)
        for folder in reversed((data, *data.parents)):  # `parents=True` would give the parents the default mode
            folder.mkdir(mode=0o700, exist_ok=True)
        marker = data / MARKER
        if not marker.exists() and any((data / name).exists() for name in (LEDGER_NAME, "prefect")):
            raise SettingsError(
                f"{data} has a ledger or a Prefect database that is not simulated",
                hint="choose an empty folder with --data-dir, or a folder of an earlier `avatars up --simulate`",
            )
        with contextlib.suppress(FileExistsError):
            os.close(create_private_file(marker))
    except (OSError, UnicodeEncodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "its name is not UTF-8"
        raise _data_dir_error(data, cause) from None


def _configured_ledger() -> Path | None:
    """Return the SQLite ledger of the real service; None if there is none, or its settings cannot be used."""
    try:
        return find_ledger_file(Settings.load())
    except AvatarsError:
        return None


def _data_dir_error(data: Path, cause: str | None) -> SettingsError:
    return SettingsError(
        f"the folder {str(data)!r} of --data-dir cannot be used: {cause}",
        hint="name a folder that you can write, which need not exist",
    )


def _require_demo_extra() -> None:
    try:
        import trustme  # noqa: F401
    except ModuleNotFoundError:
        raise SettingsError(
            "the simulator cannot start: the package trustme is not installed",
            hint="pip install 'avatar-provisioner[demo]'",
        ) from None
