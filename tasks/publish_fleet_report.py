"""The task that publishes a report on all provisionings as one artifact in the Prefect UI."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import acreate_markdown_artifact

from models.markdown_reports import render_fleet_report
from models.provisioning import Status
from services.account_report import describe_account
from services.context import app_context
from services.prefect_options import TASK_OPTIONS

KEY = "avatar-fleet"
MAX_LISTED_PER_STATUS = 100
"""How many provisionings of each status are listed; the counts include all of them."""


@task(**TASK_OPTIONS)
async def publish_fleet_report() -> str:
    """Publish the artifact `avatar-fleet` and return its summary. Raises DatabaseError."""
    async with app_context() as context:
        counts = await context.ledger.count_by_status()
        latest = {status: await context.ledger.list_latest(status, MAX_LISTED_PER_STATUS) for status in Status}
        limits = await context.limits.read(context.guard)
        account = await describe_account(context, limits)
        now = context.clock.now()
    markdown = render_fleet_report(counts, latest, now, limits.describe(), account)
    summary = ", ".join(f"{count} {status}" for status, count in counts.items()) or "no avatars yet"
    await acreate_markdown_artifact(key=KEY, markdown=markdown, description=summary)
    return summary
