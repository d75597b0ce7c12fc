"""The simulated world for `demo` and `simulate`: Argil's API, a video host with samples, and how to reach them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simulator.media_host import MediaHost, running_media_host
from simulator.server import ArgilSimulator, running_argil
from simulator.serving import HOST


@dataclass(frozen=True)
class Simulated:
    """A running simulated world; `videos` is the folder that its host serves."""

    argil: ArgilSimulator
    media: MediaHost
    videos: Path

    @property
    def environment(self) -> dict[str, str]:
        """The settings that point this project at it."""
        return {
            "ARGIL_API_URL": self.argil.api_url,
            "ARGIL_API_KEY": self.argil.api_key,
            "AVATARS_MEDIA_ALLOWED_HOSTS": HOST,
            "SSL_CERT_FILE": str(self.media.ca_file),
        }


@contextlib.contextmanager
def simulated(*, training_seconds: float, port: int = 0, media_port: int = 0) -> Iterator[Simulated]:
    """Run it while the context is open. Port 0 takes a free one; raises OSError where one is taken."""
    with (
        tempfile.TemporaryDirectory(prefix="avatars-videos-") as folder,
        running_argil(port=port, training_seconds=training_seconds) as argil,
        running_media_host(Path(folder), port=media_port) as media,
    ):
        yield Simulated(argil, media, Path(folder))
