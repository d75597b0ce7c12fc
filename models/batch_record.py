"""What the ledger records about a batch: one run of `avatars batch` or of the flow `provision-batch`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Any

from models.argil.avatar import replace_unstorable_characters
from models.manifest.formats import split_location
from models.manifest.validation import ManifestRow
from models.text.escaping import shorten
from models.text.url_redaction import redact_url

MAX_MANIFEST_CHARACTERS = 256
"""Of the name of a manifest, which a table shows."""


@dataclass(frozen=True, slots=True)
class BatchSource:
    """What a batch provisions, and who started it.

    Attributes:
        rows: The rows of the manifest.
        manifest: Its name, None for rows that were passed as a list.
        manifest_sha256: The SHA-256 (hex) of its bytes.
        started_by: The command or the flow, and the user of the machine if it is a command.
    """

    rows: list[ManifestRow]
    manifest: str | None
    manifest_sha256: str
    started_by: str

    @property
    def invalid_count(self) -> int:
        """The number of rows that break a rule of the manifest."""
        return sum(row.request is None for row in self.rows)


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch in the ledger. Its id is that of its caller, so that it survives a crash or a retry of the flow run.

    Attributes:
        id: The id, which each provisioning has that the batch took last.
        manifest: The name of the manifest without a query, None for rows that were passed as a list.
        manifest_sha256: The SHA-256 (hex) of its bytes.
        started_by: The command or the flow that started it.
        flow_run_id: The id of its Prefect run, if it has one.
        started_at: When it was started for the first time.
        ended_at: When its last row was finished or blocked; None while it runs, and after a crash.
        row_count: The number of rows, invalid ones included.
        invalid_count: The number of rows that break a rule or have a reference in conflict: they are not recorded.
        cancelled_at: When a person cancelled it. Then no further row begins, also if its run starts again.
    """

    id: str
    manifest: str | None
    manifest_sha256: str
    started_by: str
    flow_run_id: str | None
    started_at: datetime
    ended_at: datetime | None
    row_count: int
    invalid_count: int
    cancelled_at: datetime | None = None


def manifest_name(path_or_url: str) -> str:
    """Return the name of a manifest: the file name and the sheet of a path, a URL without its query."""
    location = split_location(path_or_url)
    name = redact_url(path_or_url)
    if "://" not in path_or_url:
        name = PurePath(location.path_or_url).name + (f"#{location.sheet}" if location.sheet else "")
    return shorten(replace_unstorable_characters(name), MAX_MANIFEST_CHARACTERS)


def rows_sha256(rows: Sequence[Any]) -> str:
    """Return the SHA-256 (hex) of rows that were passed as a list: of their JSON with sorted keys."""
    return hashlib.sha256(json.dumps(rows, sort_keys=True, default=str).encode()).hexdigest()
