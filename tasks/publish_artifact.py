"""The task that publishes a provisioning as an artifact in the Prefect UI."""

from __future__ import annotations

from prefect import task
from prefect.artifacts import acreate_markdown_artifact

from models.markdown_reports import describe_provisioning, render_provisioning_report
from services.context import app_context
from services.prefect_options import TASK_OPTIONS


@task(**TASK_OPTIONS)
async def publish_artifact(provisioning_id: str) -> None:
    """Publish the artifact `avatar-<provisioning id>`; a new version replaces the previous one in the UI.

    Raises:
        UnknownProvisioning: No provisioning has this id.
        DatabaseError: The ledger cannot be read.

    """
    async with app_context() as context:
        provisioning = await context.ledger.get(provisioning_id)
        events = await context.ledger.list_events(provisioning_id)
        submissions = await context.ledger.list_submissions(provisioning_id)
    await acreate_markdown_artifact(
        key=f"avatar-{provisioning_id}",
        markdown=render_provisioning_report(provisioning, events, submissions),
        description=describe_provisioning(provisioning),
    )
