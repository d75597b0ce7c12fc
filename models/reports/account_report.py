"""The differences between the account at Argil and the ledger: what each has that the other does not.

Uploads that no provisioning names are reported beside them: they are no difference from Argil.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from models.argil.account_list import AccountList
from models.argil.avatar import Avatar
from models.argil.unknown_avatars import is_our_submission_id
from models.provisioning import Status
from models.recordings.uploads import Upload
from models.text.plural import counted


@dataclass(frozen=True, slots=True)
class AccountAvatar:
    """An avatar at Argil that the ledger does not know.

    `submission_id` is that of an avatar that one of our ledgers created. `provisioning_id` is then the provisioning
    whose request it proves, if this ledger has that; `is_ignored` tells whether a person decided to ignore it.
    """

    avatar_id: str
    name: str
    status: str
    submission_id: str | None = None
    provisioning_id: str | None = None
    is_ignored: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        document: dict[str, Any] = {"avatar_id": self.avatar_id, "name": self.name, "status": self.status}
        if self.submission_id is not None:
            document |= {
                "submission_id": self.submission_id,
                "provisioning_id": self.provisioning_id,
                "ignored": self.is_ignored,
            }
        return document


@dataclass(frozen=True, slots=True)
class LedgerAvatar:
    """An avatar that the ledger has on record, with its provisioning."""

    avatar_id: str
    provisioning_id: str
    reference: str
    status: Status

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "avatar_id": self.avatar_id,
            "id": self.provisioning_id,
            "reference": self.reference,
            "status": self.status.value,
        }


@dataclass(frozen=True, slots=True)
class Differences:
    """One kind of difference: how many there are, and the first of them."""

    count: int = 0
    first: Sequence[AccountAvatar | LedgerAvatar] = ()


@dataclass(frozen=True, slots=True)
class UnusedUploads:
    """Uploads of local files that no provisioning names: how many there are, and the oldest of them."""

    count: int = 0
    first: Sequence[Upload] = ()

    def describe(self) -> list[str]:
        """Return the count for people, without addresses; no line if there is none."""
        if not self.count:
            return []
        return [f"{self.count:,} {'upload' if self.count == 1 else 'uploads'} that no provisioning names"]

    def to_json(self) -> list[dict[str, Any]]:
        """Return the first uploads as JSON values."""
        return [
            {
                "uri": upload.uri,
                "size_bytes": upload.size_bytes,
                "actor": upload.actor,
                "created_at": upload.created_at.isoformat().replace("+00:00", "Z"),
                "complete": upload.completed_at is not None,
            }
            for upload in self.first
        ]


@dataclass(frozen=True)
class AccountReport:
    """What one list call shows, compared with the ledger.

    Attributes:
        avatar_count: The private avatars in the list.
        unreadable_count: The items of the list without a usable id or status.
        incomplete_because: Why the list proves no absence; empty if it is a plain array without paging.
        ours: Avatars with a submission id in our form that the ledger does not know.
        ignored_count: Those of them that a person decided to ignore.
        others: Other avatars that the ledger does not know.
        missing: Avatars of the ledger that the list does not contain, without those of erased provisionings.
        duplicates: Additional avatars of provisionings, recorded by the ledger and in the list.
        uploads: Uploads of local files that no provisioning names.
    """

    avatar_count: int
    unreadable_count: int = 0
    incomplete_because: str = ""
    ours: Differences = field(default_factory=Differences)
    ignored_count: int = 0
    others: Differences = field(default_factory=Differences)
    missing: Differences = field(default_factory=Differences)
    duplicates: Differences = field(default_factory=Differences)
    uploads: UnusedUploads = field(default_factory=UnusedUploads)

    @property
    def kinds(self) -> dict[str, Differences]:
        """The differences by their name in JSON."""
        return {
            "ours_unknown": self.ours,
            "others_unknown": self.others,
            "missing": self.missing,
            "duplicates": self.duplicates,
        }

    @property
    def has_drift(self) -> bool:
        """Whether there is any difference that no person decided to ignore."""
        return self.ours.count > self.ignored_count or any(
            item.count for item in (self.others, self.missing, self.duplicates)
        )

    def describe(self) -> list[str]:
        """Return the counts for people, one line each: without names, ids and references."""
        lines = [f"{_avatars(self.avatar_count)} in the account at Argil"]
        if self.unreadable_count:
            lines.append(f"{self.unreadable_count:,} items of the list have no usable id or status")
        if self.incomplete_because:
            lines.append(f"{self.incomplete_because}: what it does not show may exist")
        if self.ours.count:
            ignored = f", {self.ignored_count:,} of them ignored" if self.ignored_count else ""
            lines.append(f"{_avatars(self.ours.count)} of submissions that this ledger does not know{ignored}")
        if self.others.count:
            lines.append(f"{_avatars(self.others.count)} made elsewhere and not adopted")
        if self.missing.count:
            lines.append(f"{_avatars(self.missing.count)} of the ledger not in the list")
        if self.duplicates.count:
            lines.append(f"{_avatars(self.duplicates.count)} in addition to the one that a provisioning uses")
        return [*lines, *([] if self.has_drift else ["no differences from the ledger"]), *self.uploads.describe()]

    def to_json(self) -> dict[str, Any]:
        """Return the counts and the first differences of each kind as JSON values."""
        return {
            "avatars": self.avatar_count,
            "unreadable": self.unreadable_count,
            "is_complete": not self.incomplete_because,
            "incomplete_because": self.incomplete_because,
            "has_drift": self.has_drift,
            "counts": {name: item.count for name, item in self.kinds.items()}
            | {"ignored": self.ignored_count, "unused_uploads": self.uploads.count},
            **{name: [one.to_json() for one in item.first] for name, item in self.kinds.items()},
            "unused_uploads": self.uploads.to_json(),
        }


def read_avatars(account: AccountList) -> dict[str, Avatar]:
    """Return the avatars of a list by id."""
    return {avatar.id: avatar for avatar in account.avatars}


def our_submission_id(avatar: Avatar) -> str | None:
    """Return the submission id of an avatar if it has the form of ours, else None."""
    submission_id = avatar.submission_id
    return submission_id if submission_id is not None and is_our_submission_id(submission_id) else None


def _avatars(count: int) -> str:
    return counted(count, "avatar")
