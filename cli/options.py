"""Parameters that several commands share."""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import Parameter

JsonFlag = Annotated[
    bool, Parameter(negative=(), help="Print one JSON document to stdout; everything else goes to stderr.")
]
DryRunFlag = Annotated[bool, Parameter(negative=())]
ProvisioningKey = Annotated[str, Parameter(help="Id or reference of the provisioning.")]
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
