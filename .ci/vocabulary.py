"""Report private words in the files that git tracks and in their names; exit with 1 if there is one.

The words, the terms to use instead and the exceptions with their reasons are in vocabulary.toml.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

RULES = Path(__file__).with_name("vocabulary.toml")
TEXT_SUFFIXES = (".py", ".md", ".toml", ".yaml", ".yml", ".example", ".mako", "Makefile", "run")
WORD_BOUNDARY = re.compile(r"[_-]|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Between the words of an identifier in snake case or camel case, and of a hyphenated term."""


def tracked_files() -> list[Path]:
    """Return the files that git tracks."""
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [path for path in map(Path, listed) if path.exists()]


def lines_of(file: Path) -> list[str]:
    """Return the name of a file, and after it the lines of a text that people read."""
    is_text = file.name.endswith(TEXT_SUFFIXES)
    return [file.as_posix(), *(file.read_text(encoding="utf-8").splitlines() if is_text else ())]


def is_allowed(file: Path, word: str, exceptions: list[dict[str, Any]]) -> bool:
    """Tell whether an exception lists this word in this file."""
    return any(
        any(fnmatch(file.as_posix(), pattern) for pattern in exception["files"])
        and any(re.fullmatch(pattern, word, re.IGNORECASE) for pattern in exception["words"])
        for exception in exceptions
    )


def findings(files: list[Path], rules: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each private word: file, line number (0: the file's name), word, the term to use."""
    terms = list(rules["words"].values())
    alternatives = (rf"(?P<word{number}>\b(?:{word})\b)" for number, word in enumerate(rules["words"]))
    pattern = re.compile("|".join(alternatives), re.IGNORECASE)
    for file in files:
        for number, line in enumerate(lines_of(file)):
            for match in pattern.finditer(WORD_BOUNDARY.sub(" ", line)):
                if not is_allowed(file, match.group(), rules["exceptions"]):
                    term = terms[int((match.lastgroup or "word0").removeprefix("word"))]
                    yield f"{file}:{number}: {match.group()!r}: write {term}"


def main() -> int:
    """Print what was found; return the exit code."""
    rules = tomllib.loads(RULES.read_text(encoding="utf-8"))
    found = list(findings(tracked_files(), rules))
    print("\n".join(found) if found else "vocabulary: no private words")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
