"""The avatars of an account list, by id and by submission id; each is parsed when it is read."""

from __future__ import annotations

from collections.abc import KeysView, Sequence

from models.argil.avatar import UNFINISHED_STATUSES, Avatar, read_extras
from models.request_fields import SUBMISSION_ID_EXTRA


class AvatarList:
    """An index of the items of an account list: most of thousands have not changed, and are never parsed.

    Items that are not objects are skipped.
    """

    def __init__(self, items: Sequence[object]) -> None:
        """Index a JSON list, in one pass over its items."""
        self._items = items
        self._ids: list[str | None] = []
        self._statuses: list[object] = []
        self._positions: dict[str, int] = {}
        """By id, of the last item that has it."""
        self._by_submission: dict[str, int] = {}
        """The position of the first item with a submission id."""
        self._further: dict[str, list[int]] = {}
        """The positions of the other items with a submission id, which are rare."""
        shared: dict[str, str] = {}
        for position, item in enumerate(items):
            fields = item if isinstance(item, dict) else {}
            avatar_id, status = fields.get("id"), fields.get("status")
            self._ids.append(avatar_id if isinstance(avatar_id, str) else None)
            # Each decoded item has a string of its own.
            self._statuses.append(shared.setdefault(status, status) if isinstance(status, str) else status)
            if isinstance(avatar_id, str):
                self._positions[avatar_id] = position
            submission_id = (read_extras(fields.get("extras")) or {}).get(SUBMISSION_ID_EXTRA)
            if submission_id is not None and self._by_submission.setdefault(submission_id, position) != position:
                self._further.setdefault(submission_id, []).append(position)

    @property
    def submission_ids(self) -> KeysView[str]:
        """The submission ids of all items, also of those without a usable avatar id."""
        return self._by_submission.keys()

    def has_status(self, avatar_id: str, status: str | None) -> bool:
        """Whether the list contains the avatar with exactly this status."""
        position = self._positions.get(avatar_id)
        return position is not None and self._statuses[position] == status

    def is_unfinished(self, avatar_id: str) -> bool:
        """Whether the list contains the avatar with a documented status that its training does not end with."""
        position = self._positions.get(avatar_id)
        status = None if position is None else self._statuses[position]
        return isinstance(status, str) and status in UNFINISHED_STATUSES

    def get(self, avatar_id: str | None) -> Avatar | None:
        """Return the avatar, None if the list does not contain it."""
        position = None if avatar_id is None else self._positions.get(avatar_id)
        return None if position is None else Avatar.parse(self._items[position])

    def first_item(self, submission_id: str) -> object:
        """Return the first item with one of the `submission_ids`, as Argil sent it."""
        return self._items[self._by_submission[submission_id]]

    def ids_of(self, submission_id: str) -> list[str]:
        """Return the ids of the avatars that carry this submission id."""
        if (first := self._by_submission.get(submission_id)) is None:
            return []
        ids = ((position, self._ids[position]) for position in (first, *self._further.get(submission_id, ())))
        return [avatar_id for position, avatar_id in ids if avatar_id and self._positions[avatar_id] == position]
