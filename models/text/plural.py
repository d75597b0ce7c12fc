"""A number with its noun."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return the number with the noun in its number, for example `1 row` or `2,000 rows`.

    Args:
        count: How many.
        noun: In the singular; the plural ends in `s`.
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
