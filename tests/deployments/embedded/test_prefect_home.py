"""The folder of an embedded Prefect server: everything in it is private, and no link in it is followed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from deployments.embedded.prefect_server import open_in_home
from models.errors import PrefectError

FILES = ("prefect.db", "prefect.db-wal", "prefect.db-shm", "server.log")


def test_new_folder_and_file_are_private(tmp_path: Path) -> None:
    home = tmp_path / "a/prefect"
    with open_in_home(home, "server.log") as log:
        log.write(b"started")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (home.parent, home, home / "server.log")]
    assert modes == [0o700, 0o700, 0o600]


def test_existing_folder_and_files_are_made_private(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = tmp_path / "prefect"
    home.mkdir()
    for path in (home, *(home / name for name in FILES)):
        path.touch()
        path.chmod(0o755 if path == home else 0o644)
    with open_in_home(home, "server.log"):
        pass
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home, *home.iterdir())}
    assert modes == {"prefect": 0o700, **dict.fromkeys(FILES, 0o600)}
    assert len(caplog.messages) == len(modes)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "file-as-home"])
def test_unsuitable_file_in_the_folder_is_a_clear_error(tmp_path: Path, kind: str) -> None:
    home, victim = tmp_path / "prefect", tmp_path / "victim"
    victim.write_text("victim")
    if kind == "file-as-home":
        home.touch()
    else:
        home.mkdir()
        path = home / "stack.lock"
        if kind == "link":
            path.symlink_to(victim)
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.mkdir()
    with pytest.raises(PrefectError, match=r"stack\.lock in the folder .*/prefect of the Prefect server"):
        open_in_home(home, "stack.lock")
    assert victim.read_text() == "victim"
