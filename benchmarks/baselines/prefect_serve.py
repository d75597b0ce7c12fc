"""Plain Prefect: `serve` with a flow that creates one avatar and polls it by id, in a process per run."""

from __future__ import annotations

import sys

from prefect import flow

from benchmarks.baselines.job import SERVED_DEPLOYMENT
from benchmarks.baselines.plain_prefect import await_training, create

FLOW, DEPLOYMENT = SERVED_DEPLOYMENT.split("/")


@flow(name=FLOW, flow_run_name="avatar-{number}")
async def provision_served(number: int) -> str:
    """Create one avatar and await its training."""
    return await await_training(await create(number))


if __name__ == "__main__":
    provision_served.serve(name=DEPLOYMENT, limit=int(sys.argv[1]))
