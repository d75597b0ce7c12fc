"""Makes the recordings of the corpus once per session, two at a time, ahead of the tests that check them."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.media.corpus.recording import Recording
from tests.media.corpus.reference import Facts, read_reference
from tests.media.corpus.sources import SOURCES, TEXTS

# CI has two cores. Each encoder gets one thread.
CONCURRENT_COMMANDS = 2
COMMAND_TIMEOUT_SECONDS = 300
COMMAND = "ffmpeg -hide_banner -nostdin -loglevel error -y -filter_threads 1"


class Made(NamedTuple):
    """The file of a recording, and the facts that ffprobe reads from it; none if it cannot, or Python made it."""

    path: Path
    reference: Facts


class CorpusFactory:
    """Starts to make all given recordings at once. Close it at the end.

    Args:
        recordings: The recordings to make, in the order of the tests.
        folder: Where their files are written.
    """

    def __init__(self, recordings: Iterable[Recording], folder: Path) -> None:
        self._folder = folder
        self._inputs = {Path(name).stem: folder / name for name in [*SOURCES, *TEXTS]}
        for name, text in TEXTS.items():
            (folder / name).write_text(text)
        self._executor = ThreadPoolExecutor(CONCURRENT_COMMANDS, thread_name_prefix="corpus")
        # The executor is first in, first out, so no recording waits for a source that has not started.
        recordings = list(recordings)
        used = {
            name for name in SOURCES for recording in recordings if f"{{{Path(name).stem}}}" in recording.arguments
        }
        self._sources = {
            Path(name).stem: self._executor.submit(self._run, SOURCES[name], folder / name) for name in used
        }
        self._made = {
            recording: self._executor.submit(self._make, recording, number)
            for number, recording in enumerate(recordings)
        }

    def get(self, recording: Recording) -> Made:
        """Wait for a recording.

        Raises:
            RuntimeError: If ffmpeg fails.
        """
        return self._made[recording].result()

    def close(self) -> None:
        """Wait for the commands that are running, and drop the others."""
        self._executor.shutdown(cancel_futures=True)

    def _make(self, recording: Recording, number: int) -> Made:
        path = self._folder / f"{number}.{recording.suffix}"
        data = b""
        if recording.arguments:
            for name, source in self._sources.items():
                if f"{{{name}}}" in recording.arguments:
                    source.result()
            self._run(recording.arguments.format_map(self._inputs), path)
            data = path.read_bytes()
        if recording.edit is not None:
            path.write_bytes(recording.edit(data))
        return Made(path, self._read_reference(path) if recording.arguments else {})

    def _read_reference(self, path: Path) -> Facts:
        try:
            return read_reference(path)
        except subprocess.CalledProcessError:
            return {}

    def _run(self, arguments: str, path: Path) -> None:
        command = [*shlex.split(f"{COMMAND} {arguments}"), "-threads", "1", str(path)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_SECONDS)
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)} failed: {done.stderr}")
