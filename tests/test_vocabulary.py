"""The check of the vocabulary in .ci finds a private word wherever people read it."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent / ".ci"


@pytest.fixture(scope="module")
def rules() -> dict[str, Any]:
    return tomllib.loads((FOLDER / "vocabulary.toml").read_text())


@pytest.fixture(scope="module")
def vocabulary() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vocabulary", FOLDER / "vocabulary.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("services/a.py", "class SleeperRepository:", "Sleeper"),
        ("services/a.py", "class HTTPDriver:", "Driver"),
        ("services/a.py", "def drive_provisioning() -> None:", "drive"),
        ("services/a.py", "isSettled = True", "Settled"),
        ("services/a.py", "raise DatabaseError('the beat is late')", "beat"),
        ("tests/test_a.py", "def test_sleeping_run_is_resumed() -> None:", "sleeping"),
        ("docs/a.md", "A left-behind run.", "left behind"),
        ("docs/a.md", "The address-guard refuses it.", "address guard"),
        ("compose.yaml", "nobody: 1", "nobody"),
        ("script.py.mako", "# do it anew", "anew"),
    ],
)
def test_private_word_in_a_text_is_found(
    vocabulary: ModuleType,
    rules: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    text: str,
    found: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(f"fine\n{text}\n")
    [finding] = vocabulary.findings([Path(name)], rules)
    assert finding.startswith(f"{name}:2: {found!r}: write ")


@pytest.mark.parametrize("name", ["store/sleepers.py", "docs/images/crowd.png", "tests/test_nap.py"])
def test_private_word_in_a_file_name_is_found(
    vocabulary: ModuleType, rules: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(parents=True)
    Path(name).write_bytes(b"fine")
    [finding] = vocabulary.findings([Path(name)], rules)
    assert finding.startswith(f"{name}:0: ")


@pytest.mark.parametrize(
    "text", ["class HeartbeatClock:", "a create request", "is no longer leased", "a sleep of Google's", "oldest"]
)
def test_ordinary_words_pass(
    vocabulary: ModuleType, rules: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.md").write_text(text)
    assert list(vocabulary.findings([Path("a.md")], rules)) == []
