"""The simulated environment of `demo`, `simulate` and `up --simulate`: Argil's API and a host of sample videos."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.errors import SettingsError
from simulator.media_host import MediaHost, running_media_host
from simulator.server import ArgilSimulator, run_argil
from simulator.uvicorn_thread import HOST


@dataclass(frozen=True)
class SimulatedEnvironment:
    """A running simulator; `videos` is the folder that the video host serves."""

    argil: ArgilSimulator
    media: MediaHost
    videos: Path

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that connect `avatars` to the simulator."""
        return {
            "ARGIL_API_URL": self.argil.api_url,
            "ARGIL_API_KEY": self.argil.api_key,
            "AVATARS_MEDIA_ALLOWED_HOSTS": HOST,
            "SSL_CERT_FILE": str(self.media.ca_file),
        }


@contextlib.contextmanager
def simulated_environment(
    *, training_seconds: float, port: int = 0, media_port: int = 0
) -> Iterator[SimulatedEnvironment]:
    """Run the simulator while the context is open.

    Args:
        training_seconds: Duration of a simulated training.
        port: Port of the API; 0 selects a free port.
        media_port: Port of the video host; 0 selects a free port.

    Raises:
        OSError: A port is in use.
        SettingsError: The extra `demo` is not installed.
    """
    _require_demo_extra()
    with (
        tempfile.TemporaryDirectory(prefix="avatars-videos-") as folder,
        run_argil(port=port, training_seconds=training_seconds) as argil,
        running_media_host(Path(folder), port=media_port) as media,
    ):
        yield SimulatedEnvironment(argil, media, Path(folder))


def _require_demo_extra() -> None:
    try:
        import trustme  # noqa: F401
    except ModuleNotFoundError:
        raise SettingsError(
            "the simulator cannot start: the package trustme is not installed",
            hint="pip install 'avatar-provisioner[demo]'",
        ) from None
