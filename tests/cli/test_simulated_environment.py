"""The folder of a simulated service never has a real ledger."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url

from cli.simulated_environment import simulated_environment
from models.environment.simulated_settings import simulated_settings
from models.errors import SettingsError
from models.settings import sqlite_url


@pytest.mark.parametrize("name", ["avatars.db", "prefect"])
def test_folder_with_a_real_ledger_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with (
        pytest.raises(SettingsError, match="a ledger or a Prefect database that is not simulated"),
        simulated_environment(training_seconds=1, data_dir=tmp_path),
    ):
        pytest.fail("the simulator has started")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_folder_of_an_earlier_simulation_is_used_again(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    for _ in range(2):
        with simulated_environment(training_seconds=1, data_dir=folder) as simulated:
            assert simulated.data == folder
            (folder / "avatars.db").touch()
    assert [path.stat().st_mode & 0o077 for path in (folder, folder.parent)] == [0, 0]


def start(folder: Path) -> None:
    with simulated_environment(training_seconds=1, data_dir=folder):
        pytest.fail("the simulator has started")


@pytest.mark.parametrize("configured", ["data/avatars.db", "link/avatars.db", "hard.db"])
def test_folder_of_the_configured_ledger_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configured: str
) -> None:
    """Also if it was a simulated one before, and if the ledger does not exist yet."""
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "link").symlink_to(data)
    (data / "simulated").touch()
    if configured == "hard.db":
        (data / "avatars.db").touch()
        (tmp_path / configured).hardlink_to(data / "avatars.db")
    monkeypatch.setenv("AVATARS_DATABASE_URL", sqlite_url(tmp_path / configured))
    with pytest.raises(SettingsError, match="AVATARS_DATABASE_URL"):
        start(data)


def test_default_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SettingsError, match="AVATARS_DATABASE_URL"):
        start(tmp_path / ".avatars")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/below", "not-utf8-\udcff", "x" * 300, "loop/below"])
def test_folder_that_cannot_be_used_is_a_settings_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SettingsError, match="--data-dir"):
        start(tmp_path / name)


def test_marker_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "simulated").symlink_to(tmp_path / "elsewhere")
    with simulated_environment(training_seconds=1, data_dir=tmp_path / "data"):
        assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["real.db?uri=", "real.db?mode=rw&uri=", "%72eal", "a#b c", "é"])
def test_databases_are_in_the_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    settings = simulated_settings(tmp_path / name, keeps_behaviour=False)
    for variable, file in {
        "AVATARS_DATABASE_URL": "avatars.db",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "prefect/prefect.db",
    }.items():
        assert make_url(settings[variable]).database == str(tmp_path / name / file)
        assert make_url(settings[variable]).query == {}
