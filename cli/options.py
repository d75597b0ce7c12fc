"""Parameters that several commands share, and the parser of KEY=VALUE options."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from models.errors import InvalidRequest
from models.provisioning import Status

MAX_TRAINING_SECONDS = 86_400


def normalize_status(name: str) -> str:
    """Return the name of a status as it is shown everywhere, for example TRAINING_FAILED for training-failed."""
    return name.strip().upper().replace("-", "_")


JsonFlag = Annotated[
    bool, Parameter(negative=(), help="Print one JSON document to stdout; everything else goes to stderr.")
]
DryRunFlag = Annotated[bool, Parameter(negative=())]
ProvisioningKey = Annotated[str, Parameter(name="ID", help="Id or reference of the provisioning.")]
StatusNames = Annotated[list[Status] | None, Parameter(name="--status", name_transform=normalize_status)]
"""Statuses as they are shown; `ready` and `training-failed` are read, too."""
Port = Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))]
TrainingSeconds = Annotated[float, Parameter(validator=Number(gte=0, lte=MAX_TRAINING_SECONDS))]
IgnoreUnknownFlag = Annotated[
    bool,
    Parameter(
        negative=(),
        help="Submit although Argil has avatars that the ledger does not know. The decision is recorded.",
    ),
]


def apply_ignore_unknown(*, is_set: bool) -> None:
    """Set AVATARS_IGNORE_UNKNOWN for this process if the option is set, before the settings are loaded."""
    if is_set:
        os.environ["AVATARS_IGNORE_UNKNOWN"] = "true"


def parse_extras(options: Iterable[str]) -> dict[str, str]:
    """Parse KEY=VALUE options; raises InvalidRequest with every malformed option and every repeated key."""
    pairs: dict[str, str] = {}
    problems = []
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            problems.append(("extra", f"must be KEY=VALUE, not {option!r}"))
        elif key in pairs:
            problems.append(("extra", f"the key {key!r} is given more than once"))
        pairs[key] = value
    if problems:
        raise InvalidRequest(problems, hint="write, for example, --extra team=berlin --extra tier=gold")
    return pairs
