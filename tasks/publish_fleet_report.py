"""The task that publishes a report on all provisionings as one artifact in the Prefect UI."""

from __future__ import annotations

from prefect import task
from prefect.client.orchestration import get_client

from models.provisioning import Status
from models.reports.artifact_keys import FLEET_KEY
from models.reports.fleet_report import render_fleet_report
from services.account.account_report import describe_account
from services.context import app_context
from services.prefect_api.avatar_artifacts import add_artifact, find_artifact_ids
from services.prefect_api.prefect_options import TASK_OPTIONS

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
        images = await context.ledger.count_image_creates()
        now = context.clock.now()
        releases = await context.quarantine.list_releases([refused.id for refused in latest[Status.REFUSED]])
    listed = [provisioning for status in Status for provisioning in latest[status] if status is not Status.READY]
    artifact_ids = await find_artifact_ids(listed)
    markdown = render_fleet_report(
        counts,
        latest,
        now,
        limits.describe(),
        account,
        images=images,
        artifact_ids=artifact_ids,
        releases=releases,
    )
    summary = ", ".join(f"{count} {status}" for status, count in counts.items()) or "no avatars yet"
    async with get_client() as client:
        await add_artifact(client, FLEET_KEY, markdown, summary)
    return summary
