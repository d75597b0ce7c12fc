"""Counts the places of a table that a notice is about, and names the first ones."""

from __future__ import annotations

MAX_NAMED_PLACES = 5


class Places:
    """Counts places, which are added in their order.

    Args:
        rule: The notice, with `{places}` and, if they are its subject, `{were}`.
        unit: What a place is: a line, a row or a cell.
    """

    def __init__(self, rule: str, unit: str) -> None:
        self._rule = rule
        self._unit = unit
        self._first: list[str] = []
        self._last = ""
        self.count = 0

    def add(self, place: str) -> None:
        """Count a place, unless it is the last one again."""
        if place == self._last:
            return
        self._last = place
        self.count += 1
        if len(self._first) < MAX_NAMED_PLACES:
            self._first.append(place)

    @property
    def text(self) -> str:
        """The notice."""
        is_one = self.count == 1
        more = self.count - len(self._first)
        places = f"{self._unit}{'' if is_one else 's'} {', '.join(self._first)}"
        places += f" and {more:,} more" if more else ""
        return self._rule.format(places=places, were="was" if is_one else "were")
