"""The layout of `--help`: paragraphs that fit any width, and a placeholder that names what each value is.

It imports Rich when a help text is printed, and not when the application is built.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cyclopts.help.formatters.default import DefaultFormatter

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

PLACEHOLDERS = {
    "--after": "ID",
    "--avatar-id": "ID",
    "--batch": "ID",
    "--extra": "KEY=VALUE",
    "--format": "FORMAT",
    "--notification-block": "BLOCK",
    "--pool": "NAME",
    "--role": "ROLE",
    "--since": "TIME",
    "--status": "STATUS",
    "--until": "TIME",
    "--url": "URL",
    "--data-dir": "FOLDER",
    "--training-seconds": "SECONDS",
    "--older-than-days": "DAYS",
    "--port": "PORT",
}
"""What the value of an option is, the same in every command. The names of types say it for the others."""
TYPE_PLACEHOLDERS = {"STR": "TEXT", "PATH": "FILE", "INT": "NUMBER", "FLOAT": "NUMBER"}
_OPTION_WITH_VALUE = re.compile(r"(?<![a-z-])(--[a-z-]++) ([A-Z]+)")


def shown_default(value: object) -> str | None:
    """Return the default of an option for `--help`; None for a flag that is not set and for an empty value."""
    return str(value) if value not in (False, "", (), None) else None


def unwrap(text: str) -> str:
    """Return paragraphs of a docstring on one line each; lines with an indent, such as examples, stay."""
    return re.sub(r"(?<=\S)\n(?=\S)", " ", text)


class CommandHelp(DefaultFormatter):
    """Prints usage, description and options of a command."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print a panel of options or commands."""
        super().__call__(console, options, panel.copy(entries=[_shown(entry) for entry in panel.entries]))

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        """Print the usage line with the placeholders of the options."""
        text = _OPTION_WITH_VALUE.sub(lambda m: f"{m[1]} {_placeholder((m[1],), m[2])}", str(usage))
        super().render_usage(console, options, text)

    def render_description(self, console: Console, options: ConsoleOptions, description: Any) -> None:
        """Print the description with unwrapped paragraphs."""
        _unwrap_inline(description)
        super().render_description(console, options, description)


def _placeholder(names: tuple[str, ...], metavar: str) -> str:
    base, dots = metavar.removesuffix("..."), metavar[len(metavar.removesuffix("...")) :]
    for name in names:
        if name in PLACEHOLDERS:
            return PLACEHOLDERS[name] + dots
    return TYPE_PLACEHOLDERS.get(base, base) + dots


def _shown(entry: HelpEntry) -> HelpEntry:
    text = _text_of(entry.description)
    if text is not None:
        # The docstring of a field keeps the indent of its lines.
        text.plain = " ".join(filter(None, map(str.strip, text.plain.split("\n"))))
    return entry.copy(metavar=_placeholder(entry.names, entry.metavar)) if entry.metavar else entry


def _unwrap_inline(description: Any) -> None:
    text = _text_of(description)
    if text is not None:
        text.plain = unwrap(text.plain)


def _text_of(description: Any) -> Text | None:
    from rich.text import Text

    text = getattr(description, "primary_renderable", None)
    return text if isinstance(text, Text) else None
