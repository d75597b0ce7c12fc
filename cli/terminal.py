"""Output with styles and tables. Rich lays it out; cli/console.py prints plain lines without importing Rich.

Untrusted text is printed as the result of `shown`, never in Rich's markup.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from cli.console import shown_line
from models.text.escaping import visible_lines
from models.text.redaction import redact

NON_TTY_WIDTH = 150
"""Columns of the output if it is not a terminal."""


def shown(text: str, style: str = "") -> Text:
    """Return untrusted text for a terminal: without secrets, on one line, with escapes for control characters."""
    return Text(shown_line(text), style)


def shown_lines(texts: Iterable[str]) -> Text:
    """Return several untrusted texts, each on a line of its own."""
    return Text("\n").join(map(shown, texts))


class _RedactedConsole(Console):
    """Redacts secrets in all output, table cells included: Rich renders every string with `render_str`.

    It also escapes control characters, except for line feeds, if a caller did not.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """Return the rendered text, or plain text if it contained a secret or a control character."""
        rendered = super().render_str(text, **options)
        shown = visible_lines(redact(rendered.plain))
        return rendered if shown == rendered.plain else Text(shown)


def _console(*, stderr: bool) -> Console:
    # Without `emoji`, Rich replaces a name like :bomb: with a picture.
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else NON_TTY_WIDTH
    return _RedactedConsole(stderr=stderr, highlight=False, emoji=False, width=width)


stderr_console = _console(stderr=True)
stdout_console = _console(stderr=False)
