"""Parameter annotations that several commands share."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

JsonFlag = Annotated[
    bool, Parameter(negative=(), help="Print one JSON document to stdout; everything else goes to stderr.")
]
DryRunFlag = Annotated[bool, Parameter(negative=())]
ProvisioningKey = Annotated[str, Parameter(help="Id or reference of the provisioning.")]
