"""The simulated environment of `demo`, `simulate` and `up --simulate`: Argil's API and a host of sample videos."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.errors import SettingsError
from models.simulated_settings import removed_variables, simulated_settings
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
        SettingsError: The extra `demo` is not installed, or the folder has a ledger that is not simulated.
    """
    _require_demo_extra()
    with (
        tempfile.TemporaryDirectory(prefix="avatars-simulated-") as folder,
        run_argil(port=port, training_seconds=training_seconds) as argil,
    ):
        videos = Path(folder, "videos")
        videos.mkdir()
        data = data_dir.expanduser().resolve() if data_dir else Path(folder).resolve()
        _prepare(data)
        with running_media_host(videos, port=media_port) as media:
            yield SimulatedEnvironment(argil, media, videos, data)


def _prepare(data: Path) -> None:
    """Create the folder for the ledger and the Prefect database, and mark it as simulated."""
    for folder in reversed((data, *data.parents)):  # `parents=True` would give the parents the default mode
        folder.mkdir(mode=0o700, exist_ok=True)
    marker = data / MARKER
    if not marker.exists() and any((data / name).exists() for name in ("avatars.db", "prefect")):
        raise SettingsError(
            f"{data} has a ledger or a Prefect database that is not simulated",
            hint="choose an empty folder with --data-dir, or a folder of an earlier `avatars up --simulate`",
        )
    marker.touch()


def _require_demo_extra() -> None:
    try:
        import trustme  # noqa: F401
    except ModuleNotFoundError:
        raise SettingsError(
            "the simulator cannot start: the package trustme is not installed",
            hint="pip install 'avatar-provisioner[demo]'",
        ) from None
