"""Reading regular files only: size limits, folders that must not be left, and the names of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.environment.regular_files import (
    OutsideFolder,
    UnsuitableFile,
    find_same_file,
    read_file_below,
    read_regular_file,
)


def test_size_limit_also_holds_for_a_file_that_grows(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1234")
    assert read_regular_file(path, 4) == b"1234"
    with pytest.raises(UnsuitableFile, match="larger than 3 bytes"):
        read_regular_file(path, 3)


def test_folder_replaced_by_a_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    for path in (outside / "week", folder / "week"):
        path.mkdir(parents=True)
        (path / "a.csv").write_text(path.parent.name)
    assert read_file_below(folder, "week/a.csv", 100) == b"folder"
    resolve = Path.resolve

    def resolve_then_replace(path: Path, *, strict: bool = False) -> Path:
        resolved = resolve(path, strict=strict)
        if path.name == "a.csv":  # the moment between the check and the opening
            (folder / "week").rename(tmp_path / "moved")
            (folder / "week").symlink_to(outside / "week")
        return resolved

    monkeypatch.setattr(Path, "resolve", resolve_then_replace)
    with pytest.raises(NotADirectoryError):
        read_file_below(folder, "week/a.csv", 100)


def test_folder_itself_is_not_a_file_below_it(tmp_path: Path) -> None:
    for path in ("", ".", str(tmp_path)):
        with pytest.raises(UnsuitableFile, match="a folder"):
            read_file_below(tmp_path, path, 1)
    with pytest.raises(OutsideFolder):
        read_file_below(tmp_path, "..", 1)


def test_same_file_is_found_by_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = tmp_path / "m.csv"
    manifest.touch()
    Path("link.csv").symlink_to("m.csv")
    Path("hard.csv").hardlink_to("m.csv")
    Path("dangling.csv").symlink_to("new.csv")
    for name in ("m.csv", "./x/../m.csv", "link.csv", "hard.csv"):
        assert find_same_file(Path(name), {"ledger": tmp_path / "none", "manifest": manifest}) == "manifest", name
    assert find_same_file(Path("other.csv"), {"manifest": manifest}) is None
    assert find_same_file(Path("dangling.csv"), {"ledger": tmp_path / "new.csv"}) == "ledger"
