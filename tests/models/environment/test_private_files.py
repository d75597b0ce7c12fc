"""Private files and folders: modes whatever the umask, links, pipes and replaced files."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.environment.private_files import (
    append_private_file,
    create_private_file,
    create_private_folder,
    make_private,
    replace_file,
    trial_problem,
)
from models.environment.regular_files import UnsuitableFile


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022], ids=["umask-000", "umask-022"])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_new_files_and_folders_are_private_under_any_umask(tmp_path: Path) -> None:
    folder = tmp_path / "a/b/c"
    create_private_folder(folder)
    replace_file(folder / "results", b"x")
    os.close(create_private_file(folder / "new"))
    os.close(append_private_file(folder / "log"))
    assert {mode_of(file) for file in folder.iterdir()} == {0o600}
    assert {mode_of(path) for path in (folder, folder.parent, folder.parent.parent)} == {0o700}


def test_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    create_private_folder(tmp_path / "new")
    assert (mode_of(tmp_path), mode_of(tmp_path / "new")) == (0o755, 0o700)


def test_replaced_link_leaves_its_target_unchanged(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "results"
    victim.write_text("victim")
    link.symlink_to(victim)
    replace_file(link, b"new")
    assert (victim.read_text(), link.read_text(), link.is_symlink()) == ("victim", "new", False)


def test_replaced_hard_link_leaves_the_other_name_unchanged(tmp_path: Path) -> None:
    victim, name = tmp_path / "victim", tmp_path / "results"
    victim.write_text("victim")
    name.hardlink_to(victim)
    replace_file(name, b"new")
    assert (victim.read_text(), name.read_text()) == ("victim", "new")


@pytest.mark.parametrize("kind", ["pipe", "folder", "no-folder", "file-as-folder", "too-long"])
def test_only_a_regular_file_is_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "results"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "no-folder":
        path = tmp_path / "none/results"
    elif kind == "file-as-folder":
        path.touch()
        path = path / "results"
    else:
        path = tmp_path / ("x" * 300)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match=r"pipe|folder|too long"):
        replace_file(path, b"x")
    assert sorted(tmp_path.iterdir()) == before


def test_failed_replacement_leaves_no_unfinished_file(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("old")
    with pytest.raises(TypeError):
        replace_file(tmp_path / "results", "not bytes")  # type: ignore[arg-type]  # fails after the file was created
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_trial_finds_a_full_disk_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.csv"
    assert trial_problem(path) is None

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    assert trial_problem(path) == f"a trial in the folder {tmp_path} failed: No space left on device"
    assert list(tmp_path.iterdir()) == []


def test_new_file_is_never_created_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        create_private_file(tmp_path / "link")
    with pytest.raises(OSError, match=r"[Ss]ymbolic"):
        append_private_file(tmp_path / "link")
    assert not (tmp_path / "victim").exists()


def test_log_is_appended_to_and_made_private(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = tmp_path / "server.log"
    log.write_text("1")
    log.chmod(0o644)
    descriptor = append_private_file(log)
    os.write(descriptor, b"2")
    os.close(descriptor)
    assert (log.read_text(), mode_of(log)) == ("12", 0o600)
    assert caplog.messages == [f"{log} was accessible to other users: its mode is now 0600 instead of 0644"]


def test_log_that_is_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    with pytest.raises(UnsuitableFile, match="a named pipe"):
        append_private_file(tmp_path / "log")


@pytest.mark.parametrize(("before", "after"), [(0o755, 0o700), (0o644, 0o600), (0o440, 0o400), (0o600, 0o600)])
def test_private_mode_only_takes_permissions(tmp_path: Path, before: int, after: int) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(before)
    make_private(path)
    assert mode_of(path) == after


@pytest.mark.parametrize("case", ["sticky", "home", "missing"])
def test_shared_folder_and_missing_path_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    folder = tmp_path / "folder"
    if case != "missing":
        folder.mkdir()
        folder.chmod(0o1777 if case == "sticky" else 0o755)
    if case == "home":
        monkeypatch.setenv("HOME", str(folder))
    before = list(tmp_path.iterdir()), folder.exists() and mode_of(folder)
    with caplog.at_level(logging.WARNING):
        make_private(folder)
    assert (list(tmp_path.iterdir()), folder.exists() and mode_of(folder)) == before
    assert caplog.messages == []


def test_mode_that_cannot_be_changed_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_path: Path, _mode: int) -> None:  # as on a file system without modes
        raise PermissionError(1, "Operation not permitted")

    tmp_path.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", refuse)
    make_private(tmp_path)
    assert caplog.messages == [
        f"{tmp_path} is accessible to other users, and its mode cannot be changed: Operation not permitted"
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_file_of_another_user_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o644)
    os.chown(path, 12345, 12345)
    make_private(path)
    assert mode_of(path) == 0o644
