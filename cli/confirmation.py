"""Questions of a command on a terminal, before it sends anything."""

from __future__ import annotations

import sys
from collections import Counter

from cli.terminal import shown, stderr_console
from models.errors import InvalidArguments, UnconfirmedBatch
from models.image_request import describe_credits
from models.request import RequestKind
from models.text.plural import counted


def has_terminal() -> bool:
    """Return whether a person can read a question and answer it."""
    return sys.stdin.isatty() and stderr_console.is_terminal


def confirm(question: str) -> bool:
    """Ask on a terminal; False for any other answer than yes, and without a terminal."""
    if not has_terminal():
        return False
    stderr_console.print(shown(f"{question} [y/N] "), end="")
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def require_confirmed_creates(counts: Counter[RequestKind], limit: int) -> None:
    """Ask before a batch that creates more avatars than AVATARS_CONFIRM_CREATES.

    Args:
        counts: The avatars of each kind that the batch would create.
        limit: AVATARS_CONFIRM_CREATES.

    Raises:
        UnconfirmedBatch: No person confirmed it.
    """
    count, images = counts.total(), counts[RequestKind.IMAGE]
    text = f"the batch would create {counted(count, 'avatar')}, more than AVATARS_CONFIRM_CREATES={limit}"
    if images:
        text = f"{text}; {describe_credits(images)}"
    if count > limit and not confirm(f"! {text}, and each one is charged. Create them?"):
        raise UnconfirmedBatch(
            f"{text}; nothing was sent", hint="check it with `--dry-run`, then confirm it with `--yes`"
        )


def require_confirmed_erasure(name: str, reference: str) -> None:
    """Ask before a person's data is erased. Raises InvalidArguments without a yes, as without a terminal."""
    if not confirm(f"! erase the data of {name!r}, reference {reference!r}, for good?"):
        hint = "answer y, or add --yes" if has_terminal() else "without a terminal, add --yes"
        raise InvalidArguments("the erasure was not confirmed; nothing was erased", hint=hint)
