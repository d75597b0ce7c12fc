"""Shows the whole fleet in the Prefect UI, as one artifact."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import acreate_markdown_artifact

from models.provisioning import Status
from models.report import fleet_report
from tasks.options import TASK
from tasks.runtime import runtime

KEY = "avatar-fleet"
SHOWN = 100
"""How many of each kind are listed; the counts tell of all."""


@task(**TASK)
async def publish_fleet() -> str:
    """Publish the artifact `avatar-fleet`; returns its summary. Raises DatabaseError."""
    async with runtime() as active:
        counts = await active.ledger.counts()
        newest = {status: await active.ledger.newest(status, SHOWN) for status in Status}
        now = active.clock.now()
    markdown = fleet_report(counts, newest, now)
    summary = ", ".join(f"{count} {status}" for status, count in counts.items()) or "no avatars yet"
    await acreate_markdown_artifact(key=KEY, markdown=markdown, description=summary)
    return summary
