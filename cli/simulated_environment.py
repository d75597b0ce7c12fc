"""The simulated environment of `demo`, `simulate` and `up --simulate`: Argil's API and a host of sample videos."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
    """Run the simulator while the context is open; port 0 selects a free port, and a port in use raises OSError."""
    with (
        tempfile.TemporaryDirectory(prefix="avatars-videos-") as folder,
        run_argil(port=port, training_seconds=training_seconds) as argil,
        running_media_host(Path(folder), port=media_port) as media,
    ):
        yield SimulatedEnvironment(argil, media, Path(folder))
