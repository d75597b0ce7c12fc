"""The code blocks of the Markdown pages: which of them a test runs, and what they print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHELL_LANGUAGES = ("console", "bash")
_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<note>.*?) -->\n)?^(?P<indent> *)```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_PROMPT = "$ "


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        language: The language after the fence.
        title: The name of the file whose contents it shows, or None.
        note: The HTML comment in the line above: `not run: REASON`, `exit: CODE`, or `run by: TEST`; else empty.
        text: The contents, without the indentation of the block.
    """

    language: str
    title: str | None
    note: str
    text: str

    @property
    def is_shell(self) -> bool:
        """Whether the block has commands."""
        return self.language in SHELL_LANGUAGES

    @property
    def reason_not_to_run(self) -> str:
        """Why no test runs it; empty if a test does."""
        return self.note.partition("not run: ")[2]

    @property
    def exit_code(self) -> int:
        """The exit code of its last command."""
        return int(self.note.partition("exit: ")[2] or 0)

    @property
    def commands(self) -> list[str]:
        """The commands after the prompts, each with its continued lines."""
        joined = self.text.replace("\\\n", "\0")
        lines = [line.removeprefix(_PROMPT) for line in joined.splitlines() if line.startswith(_PROMPT)]
        return [line.replace("\0", "\\\n") for line in lines]

    @property
    def output(self) -> list[str]:
        """The lines that the commands print."""
        lines = self.text.replace("\\\n", "").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.startswith(_PROMPT)]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the code blocks of a page in their order."""
    for match in _BLOCK.finditer(page.read_text()):
        indent = match["indent"]
        text = "".join(line.removeprefix(indent) for line in match["text"].splitlines(keepends=True))
        yield Block(match["language"], match["title"], match["note"] or "", text)
