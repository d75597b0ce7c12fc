"""Provisions one avatar in a process of its own, without Prefect: `python -m tests.chaos.clock_worker REFERENCE`.

Settings come from the environment. The name of the final state is written to stdout.
"""

from __future__ import annotations

import asyncio
import sys

import pytest

from flows.provision_avatar import provision_avatar
from tests.chaos.fakes import bypass_prefect
from tests.chaos.simulation import make_request


def provision(reference: str, scenario: str) -> str:
    """Provision and return the name of the final state."""
    with pytest.MonkeyPatch.context() as patch:
        bypass_prefect(patch)
        state = asyncio.run(provision_avatar.fn(make_request(reference, scenario), wait="block"))
        return str(state.name)


if __name__ == "__main__":
    print(provision(sys.argv[1], sys.argv[2]))  # noqa: T201  # its result
