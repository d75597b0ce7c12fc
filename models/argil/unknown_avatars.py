"""Avatars at Argil that carry a submission id in our form which the ledger does not have.

A ledger that was restored from a backup, was deleted, or shares its account with another one does not know what was
submitted before. It would submit the same requests again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from models.argil.avatar import Avatar, replace_unstorable_characters
from models.errors import UnknownAvatars
from models.text.plural import counted

MAX_NAMED = 10
"""Avatars that an error names."""
MAX_UNDECIDED = 100_000
"""Unknown avatars that one recovery reads; the next one reads further."""
MAX_NAME_CHARACTERS = 256
_OUR_SUBMISSION_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
REMEDY = (
    "run `avatars reconcile`, and again the batches and single requests that created them, with their references: "
    'they continue with the avatars (docs/backup.md, "After a restore"). If the others belong to another ledger or '
    "are not needed, submit with --ignore-unknown, or with AVATARS_IGNORE_UNKNOWN=true"
)


@dataclass(frozen=True, slots=True)
class UnknownAvatar:
    """An avatar whose submission the ledger does not know, and whether a person decided to ignore it."""

    submission_id: str
    avatar_id: str | None
    """None if Argil's list has no usable id for it."""
    name: str
    first_seen_at: datetime
    ignored_at: datetime | None = None
    ignored_by: str | None = None

    @property
    def label(self) -> str:
        """What names it in a message. Its name is left out: no erasure reaches logs and other provisionings."""
        return self.avatar_id or f"the avatar of submission {self.submission_id}"


def is_our_submission_id(text: str) -> bool:
    """Return whether the text has the form of a submission id: a random UUID (RFC 9562, version 4) in lower case.

    An extra of this name with another value belongs to another program.
    """
    return _OUR_SUBMISSION_ID.fullmatch(text) is not None


def read_unknown_avatar(submission_id: str, item: object, first_seen_at: datetime) -> UnknownAvatar:
    """Return the unknown avatar that an item of an account list describes."""
    avatar = Avatar.parse_created(item)
    name = item.get("name") if isinstance(item, dict) else None
    return UnknownAvatar(
        submission_id=submission_id,
        avatar_id=None if avatar is None else avatar.id,
        name=replace_unstorable_characters(name)[:MAX_NAME_CHARACTERS] if isinstance(name, str) else "",
        first_seen_at=first_seen_at,
    )


def describe_unknown_avatars(avatars: Sequence[UnknownAvatar], count: int) -> str:
    """Return how many avatars are unknown, and the first of them.

    Args:
        avatars: Those to name, at least one.
        count: How many there are.
    """
    others = f", and {count - len(avatars):,} more" if count > len(avatars) else ""
    number = counted(count, "avatar")
    labels = ", ".join(avatar.label for avatar in avatars)
    return f"this ledger does not know the submissions of {number} at Argil: {labels}{others}"


def unknown_avatars_error(avatars: Sequence[UnknownAvatar], count: int) -> UnknownAvatars:
    """Return the error that stops submissions until a person decides about these avatars."""
    return UnknownAvatars(f"nothing more is submitted: {describe_unknown_avatars(avatars, count)}", hint=REMEDY)
