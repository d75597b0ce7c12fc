"""Finds the rows of a batch that use the same recording: each of them would be a training of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from models.errors import SharedRecordings
from models.manifest.validation import ManifestRow, is_derived_reference
from models.media.rules import MediaRole
from models.reason import Reason
from models.recordings.canonical_form import equivalent_forms, shown_form
from models.request import AvatarRequest
from models.text.url_redaction import redact_url

MAX_LISTED_ROWS = 10
"""Rows that the text of a group lists."""
COPIED = "copied"
"""The code of a warning about a recording, after its role."""
MAX_LISTED_GROUPS = 5
"""Groups that an error message lists; the artifact and the JSON output list all of them."""


@dataclass(frozen=True, slots=True)
class SharedRecordingGroup:
    """Rows that share recordings.

    Attributes:
        recordings: The URLs of the shared recordings, without their queries.
        roles: The roles in which the rows use them: `dataset`, `consent` or both.
        lines: The lines of the rows, in ascending order.
        references: The references of the rows, in the same order.
        provisioning: The provisioning that has the same request as the only row, in words; else empty.
    """

    recordings: tuple[str, ...]
    roles: tuple[str, ...]
    lines: tuple[int, ...]
    references: tuple[str, ...]
    provisioning: str = ""

    @property
    def text(self) -> str:
        """The group as one line for people."""
        rows = [
            f"{line}" if is_derived_reference(reference) else f"{line} ({reference!r})"
            for line, reference in zip(self.lines[:MAX_LISTED_ROWS], self.references[:MAX_LISTED_ROWS], strict=True)
        ]
        more = len(self.lines) - len(rows)
        listed = ", ".join(rows) + (f" and {more:,} more" if more else "")
        if self.provisioning:
            return f"line {listed} has the same name, recordings and extras as {self.provisioning}"
        noun = "recording" if len(self.recordings) == 1 else "recordings"
        return f"lines {listed} share the {' and '.join(self.roles)} {noun} {', '.join(self.recordings)}"

    def to_json(self) -> dict[str, Any]:
        """Return the group as JSON values."""
        return asdict(self)


def find_shared_recordings(
    rows: Sequence[ManifestRow], recorded: Collection[str] = ()
) -> list[SharedRecordingGroup]:
    """Return the groups of rows that share a recording, in the order of the rows.

    A recording counts in both roles: a dataset video that is the consent video of another row is shared too.
    Several recordings that the same rows share are one group. Invalid rows are left out, because they send nothing.

    Args:
        rows: The rows of the manifest.
        recorded: References of rows that the ledger already has. A group needs at least one other row: rows that
            are all recorded attach to their provisionings and request nothing new.

    """
    uses: dict[str, list[tuple[ManifestRow, MediaRole, str]]] = {}
    for row in rows:
        if row.request is not None:
            for role, url in row.request.recordings.items():
                uses.setdefault(_identity(url), []).append((row, role, url))
    groups: dict[tuple[int, ...], list[tuple[ManifestRow, MediaRole, str]]] = {}
    for users in uses.values():
        lines = tuple(dict.fromkeys(row.line for row, _, _ in users))
        if len(lines) > 1 and not all(row.reference in recorded for row, _, _ in users):
            groups.setdefault(lines, []).extend(users)
    return [_build_group(users) for users in groups.values()]


def group_on_record(row: ManifestRow, provisioning: str) -> SharedRecordingGroup:
    """Return the group of a row whose request a provisioning with another reference has.

    Args:
        row: The row, which has a request.
        provisioning: That provisioning in words.
    """
    recordings = {} if row.request is None else row.request.recordings
    return SharedRecordingGroup(
        recordings=tuple(dict.fromkeys(map(shown_form, recordings.values()))),
        roles=tuple(role.value for role in MediaRole if role in recordings),
        lines=(row.line,),
        references=(row.reference,),
        provisioning=provisioning,
    )


def _identity(url: str) -> str:
    """Return one form for all addresses of a recording."""
    return min(equivalent_forms(url))


def _build_group(users: Iterable[tuple[ManifestRow, MediaRole, str]]) -> SharedRecordingGroup:
    references: dict[int, str] = {}
    recordings: dict[str, str] = {}
    roles: set[MediaRole] = set()
    for row, role, url in users:
        references.setdefault(row.line, row.reference)
        recordings.setdefault(_identity(url), shown_form(url))
        roles.add(role)
    return SharedRecordingGroup(
        recordings=tuple(recordings.values()),
        roles=tuple(role.value for role in MediaRole if role in roles),
        lines=tuple(references),
        references=tuple(references.values()),
    )


class ContentIndex:
    """Finds copies of a recording under different URLs among the rows of a batch, once their digests are known."""

    def __init__(self) -> None:
        self._first_use: dict[str, tuple[int, str, str | None]] = {}
        """Line, canonical form and SHA-256 of the first row with a content, by the digest of its sample."""
        self._compared_lines: set[int] = set()

    def find_copies(self, line: int, request: AvatarRequest, media_facts: Mapping[str, Any]) -> list[Reason]:
        """Remember the recordings of a row; return a warning for each that is a copy of an earlier row's.

        The same URL is not a copy: `find_shared_recordings` reports it. A row that is checked again has no warning.

        Args:
            line: The line of the row.
            request: The request of the row.
            media_facts: The facts of the media check by role. A recording without a digest is not compared.

        """
        warnings: list[Reason] = []
        if line in self._compared_lines:
            return warnings
        self._compared_lines.add(line)
        for role, url in request.recordings.items():
            facts = media_facts.get(role) or {}
            if (digest := facts.get("sample_sha256")) is None:
                continue
            identity = _identity(url)
            sha256 = facts.get("sha256")
            first_line, first_identity, first_sha256 = self._first_use.setdefault(digest, (line, identity, sha256))
            is_other_file = sha256 is not None and first_sha256 is not None and sha256 != first_sha256
            if first_line != line and first_identity != identity and not is_other_file:
                message = (
                    f"the {role} recording has the same content as one of line {first_line}, "
                    f"under another URL: {redact_url(url)}"
                )
                warnings.append(
                    Reason(code=f"{role}.{COPIED}", message=message, hint="compare both rows: each is a training")
                )
        return warnings


def shared_recordings_error(groups: Sequence[SharedRecordingGroup]) -> SharedRecordings:
    """Return the error of a batch that may not share recordings."""
    listed = "; ".join(group.text for group in groups[:MAX_LISTED_GROUPS])
    more = f"; and {len(groups) - MAX_LISTED_GROUPS:,} more groups" if len(groups) > MAX_LISTED_GROUPS else ""
    return SharedRecordings(
        f"rows share recordings with others, or are on record, and nothing was sent: {listed}{more}",
        hint="correct the rows, or allow it with `--allow-shared-recordings` (flow parameter "
        "`allow_shared_recordings`): each row is a training of its own",
    )
