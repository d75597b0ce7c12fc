"""The folder of a simulated service never has a real ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.simulated_environment import simulated_environment
from models.errors import SettingsError


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
