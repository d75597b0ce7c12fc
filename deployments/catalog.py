"""The catalog of deployments, used by the embedded stack and for registration to work pools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import Flow
from prefect.deployments.runner import RunnerDeployment
from prefect.runner import Runner
from prefect.schedules import Interval
from prefect.types.entrypoint import EntrypointType

from flows.fleet_report import fleet_report
from flows.provision_avatar import provision_avatar
from flows.provision_batch import ONE_SOURCE, provision_batch
from flows.provision_image_avatar import provision_image_avatar
from flows.provision_pending import provision_pending
from flows.reconcile_avatars import reconcile_avatars
from flows.release_recordings import release_recordings
from flows.resume_provisioning import resume_provisioning
from models.settings import Settings
from services.prefect_api.prefect_patches import patch_parameter_schemas

PARAMETER_RULES = {"provision-batch": ONE_SOURCE}
"""Rules between the parameters of a flow, which the form and the Prefect API enforce before a run exists."""
ON_DEMAND = "on-demand"
SCHEDULED = "scheduled"
TAG = "avatars"

# A fixed date: the default is the time of registration, so that registering again would shift every schedule.
_SCHEDULE_ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class DeploymentSpec:
    """One deployment.

    Attributes:
        flow: The flow to deploy.
        description: Shown in the Prefect UI.
        interval_setting: Name of the setting with the schedule's interval in seconds; None: on demand.
        phase: Offset of the schedule as a fraction of its interval. It keeps two flows from starting, and using
            memory and CPU, at the same time.
    """

    flow: Flow[..., Any]
    description: str
    interval_setting: str | None = None
    phase: float = 0.0

    def to_kwargs(self, settings: Settings) -> dict[str, Any]:
        """Return the keyword arguments for Prefect, the same for a runner and for a work pool.

        No concurrency limit is set: the server's lease on a concurrency slot would end a long run if the server
        restarts.
        Leases in the ledger already give each provisioning one lease owner.
        """
        interval = timedelta(seconds=getattr(settings, self.interval_setting)) if self.interval_setting else None
        return {
            "name": SCHEDULED if self.interval_setting else ON_DEMAND,
            "description": self.description,
            "tags": [TAG],
            "schedule": Interval(interval, anchor_date=_SCHEDULE_ANCHOR + self.phase * interval)
            if interval
            else None,
            "entrypoint_type": EntrypointType.MODULE_PATH,
        }


CATALOG: Sequence[DeploymentSpec] = (
    DeploymentSpec(
        provision_avatar,
        "Creates one avatar from two video URLs and records the outcome. The run's final state is named after "
        "the outcome; its artifact, for example avatar-ada-lovelace-1c9771a1, shows the reasons and the next step.",
    ),
    DeploymentSpec(
        provision_image_avatar,
        "Creates one avatar from the URL of an image, for which Argil charges 2 credits, and records the outcome. "
        "Argil trains it in seconds. States and artifacts are those of provision-avatar.",
    ),
    DeploymentSpec(
        provision_batch,
        "Provisions every row of a manifest (Excel, OpenDocument, CSV, Google Sheets, JSONL or YAML), thousands in "
        "one run. Running the same manifest again continues it; the artifact batch-RUN-ID lists every row.",
    ),
    DeploymentSpec(
        resume_provisioning,
        "Continues one provisioning, given its id or reference: after an operational error was fixed, after a "
        "timeout, or to start one that was queued with avatars enqueue.",
    ),
    DeploymentSpec(release_recordings, "Releases the quarantined recordings of a refused avatar after a review."),
    DeploymentSpec(
        provision_pending,
        "Checks and submits the provisionings in ACCEPTED: queued ones, and those stopped by an operational error.",
        interval_setting="avatars_pending_interval_seconds",
    ),
    DeploymentSpec(
        reconcile_avatars,
        "Advances orphaned provisionings, resolves unknown submissions, and resumes suspended runs whose training "
        "has ended.",
        interval_setting="avatars_reconcile_interval_seconds",
        phase=0.5,
    ),
    DeploymentSpec(
        fleet_report,
        "Publishes one artifact with what is in flight and what needs a person.",
        interval_setting="avatars_report_interval_seconds",
    ),
)


def build_deployments(settings: Settings, work_pool: str) -> list[RunnerDeployment]:
    """Return every deployment, for registration to a work pool."""
    patch_parameter_schemas(PARAMETER_RULES)
    return [
        RunnerDeployment.from_flow(spec.flow, work_pool_name=work_pool, **spec.to_kwargs(settings))
        for spec in CATALOG
    ]


async def add_to_runner(runner: Runner, settings: Settings) -> None:
    """Register every deployment to be executed by the runner."""
    patch_parameter_schemas(PARAMETER_RULES)
    for spec in CATALOG:
        await runner.aadd_flow(spec.flow, **spec.to_kwargs(settings))
