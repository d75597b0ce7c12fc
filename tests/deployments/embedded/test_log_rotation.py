"""The log of the embedded server is bounded although its writer keeps the file open."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import BinaryIO

import pytest

from deployments.embedded.log_rotation import rotate_log


def test_log_beyond_its_size_moves_to_a_second_file(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(10):
            writer.write(b"%d" % number * 60)
            assert rotate_log(log, max_bytes=100) is (number % 2 == 1)
        writer.write(b"end")
    assert log.read_bytes() == b"end"
    earlier = tmp_path / "server.log.1"
    assert earlier.read_bytes() == b"8" * 60 + b"9" * 60
    assert earlier.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["server.log", "server.log.1"]


def test_full_disk_is_not_filled_by_a_part_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(_: BinaryIO, target: BinaryIO) -> None:
        target.write(b"0")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", fill)
    log = tmp_path / "server.log"
    log.write_bytes(b"0" * 101)
    with pytest.raises(OSError, match="No space left"):
        rotate_log(log, max_bytes=100)
    assert [path.name for path in tmp_path.iterdir()] == ["server.log"]
