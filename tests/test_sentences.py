"""The check of sentences in .ci finds a long one, and too many that are rather long."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parent.parent / ".ci/sentences.py"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sentences", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(count: int) -> str:
    return " ".join(["word"] * count) + "."


@pytest.mark.parametrize(
    ("page", "is_refused"),
    [
        (words(35), False),
        (words(36), True),
        (f"- {words(20)}\n- {words(20)}", False),
        (f"- {words(20)[:-1]}\n- {words(20)}", True),
        (f"```console\n{words(40)}\n```\n", False),
        (f"| {words(40)} |\n# {words(40)}", False),
    ],
)
def test_sentence_with_more_than_35_words_is_found(check: ModuleType, page: str, is_refused: bool) -> None:
    short = " ".join([words(5)] * 40)
    assert bool(list(check.problems({"a.md": f"{short}\n\n{page}"}))) is is_refused


@pytest.mark.parametrize(("long_count", "is_refused"), [(5, False), (6, True)])
def test_more_than_5_percent_of_long_sentences_are_found(
    check: ModuleType, long_count: int, is_refused: bool
) -> None:
    page = " ".join([words(26)] * long_count + [words(5)] * (100 - long_count))
    assert bool(list(check.problems({"a.md": page}))) is is_refused
