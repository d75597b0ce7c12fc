"""The task that publishes a provisioning as an artifact in the Prefect UI."""

from __future__ import annotations

from prefect import task

from models.reports.markdown_reports import describe_provisioning, render_provisioning_report
from services.context import app_context
from services.prefect_api.avatar_artifacts import put_artifact
from services.prefect_api.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def publish_artifact(provisioning_id: str) -> None:
    """Publish the artifact `avatar-<name>-<id>` about a provisioning, or change it in place.

    Raises:
        UnknownProvisioning: No provisioning has this id.
        DatabaseError: The ledger cannot be read.
        httpx.HTTPError: The Prefect API does not respond.

    """
    async with app_context() as context:
        provisioning = await context.ledger.get(provisioning_id)
        events = await context.ledger.list_events(provisioning_id)
        submissions = await context.ledger.list_submissions(provisioning_id)
        releases = (await context.quarantine.list_releases([provisioning_id])).get(provisioning_id, ())
    report = render_provisioning_report(provisioning, events, submissions, releases)
    await put_artifact(provisioning, report, describe_provisioning(provisioning))
