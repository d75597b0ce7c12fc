"""Report long sentences in README.md and docs/; exit with 1 if one is too long, or if too many are long.

Code blocks, tables and headings do not count. A list item needs a full stop of its own: without one, it is read
as a part of the sentence that follows.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LONG_WORDS = 25
LONG_SHARE = 0.05
"""Of the sentences that may have more than LONG_WORDS words."""
MAX_WORDS = 35
CODE_BLOCK = re.compile(r"```.*?```", re.DOTALL)
SENTENCE_END = re.compile(r"(?<=[.!?:])\s+")


def sentences(page: str) -> Iterator[str]:
    """Yield the sentences of a Markdown page, with one space between their words."""
    lines = CODE_BLOCK.sub(" ", page).splitlines()
    prose = " ".join(line for line in lines if not line.lstrip().startswith(("|", "#")))
    for sentence in SENTENCE_END.split(prose):
        words = sentence.split()
        if len(words) > 2:  # noqa: PLR2004  # a number of a list, or a heading in bold type
            yield " ".join(words)


def problems(pages: dict[str, str]) -> Iterator[str]:
    """Yield a line for each problem. `pages` are the texts by the names of their files."""
    found = [
        (name, sentence, len(sentence.split())) for name, page in pages.items() for sentence in sentences(page)
    ]
    for name, sentence, count in found:
        if count > MAX_WORDS:
            yield f"{name}: {count} words, at most {MAX_WORDS} are allowed: {sentence[:100]}"
    long = [(name, sentence, count) for name, sentence, count in found if count > LONG_WORDS]
    if len(long) > LONG_SHARE * len(found):
        yield f"{len(long)} of {len(found)} sentences have more than {LONG_WORDS} words, at most 5% are allowed:"
        yield from (f"  {name}: {count} words: {sentence[:100]}" for name, sentence, count in long)


def main() -> int:
    """Print what was found; return the exit code."""
    tracked = subprocess.run(
        ["git", "ls-files", "README.md", "docs/*.md"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    found = list(problems({name: Path(name).read_text(encoding="utf-8") for name in tracked}))
    print("\n".join(found) or f"{len(tracked)} pages, no sentence with more than {MAX_WORDS} words")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
