"""Every deployment, once: served by the embedded stack and registered to work pools from the same objects."""

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
from flows.provision_batch import provision_batch
from flows.provision_pending import provision_pending
from flows.reconcile_avatars import reconcile_avatars
from flows.release_recordings import release_recordings
from flows.resume_provisioning import resume_provisioning
from models.settings import Settings

ON_DEMAND = "on-demand"
SCHEDULED = "scheduled"
TAG = "avatars"

# A fixed one: by default it is the moment of registering, and registering again would change each schedule.
_ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    """One deployment; `every` is the name of the setting with its interval in seconds, None: on demand.

    It is due `shift` of an interval later than others: what is due at once takes the memory and the CPU of both.
    """

    flow: Flow[..., Any]
    description: str
    every: str | None = None
    shift: float = 0.0

    def words(self, settings: Settings) -> dict[str, Any]:
        """Return what Prefect is told of the deployment, whoever runs it.

        No concurrency limit: Prefect's lease on one would end a long run when the server restarts; leases in the
        ledger keep drivers apart.
        """
        interval = timedelta(seconds=getattr(settings, self.every)) if self.every else None
        return {
            "name": SCHEDULED if self.every else ON_DEMAND,
            "description": self.description,
            "tags": [TAG],
            "schedule": Interval(interval, anchor_date=_ANCHOR + self.shift * interval) if interval else None,
            "entrypoint_type": EntrypointType.MODULE_PATH,
        }


CATALOG: Sequence[Entry] = (
    Entry(
        provision_avatar,
        "One avatar from two video URLs, all the way to a recorded outcome. The run's final state is named after "
        "the outcome; its artifact `avatar-<provisioning id>` tells why and what to do next.",
    ),
    Entry(
        provision_batch,
        "Every row of a manifest (CSV, JSONL or YAML), thousands in one run. The same manifest again attaches "
        "and goes on; the artifact `batch-<run id>` tells of each row.",
    ),
    Entry(
        resume_provisioning,
        "One provisioning by id or reference, from wherever it stands: after something was mended, to look again "
        "at one that timed out, or to start one that was queued with `avatars enqueue`.",
    ),
    Entry(release_recordings, "A person's decision to let the videos of a refused avatar in again."),
    Entry(
        provision_pending,
        "Checks and submits what waits in ACCEPTED: queued, or left there until something was mended.",
        every="avatars_pending_seconds",
    ),
    Entry(
        reconcile_avatars,
        "Brings further what nobody drives: creates without an answer, trainings that have ended, runs that sleep.",
        every="avatars_reconcile_seconds",
        shift=0.5,
    ),
    Entry(
        fleet_report, "What is in flight and what needs a person, as one artifact.", every="avatars_report_seconds"
    ),
)


def deployments(settings: Settings, work_pool: str) -> list[RunnerDeployment]:
    """Return every deployment, to be registered to a work pool."""
    return [
        RunnerDeployment.from_flow(entry.flow, work_pool_name=work_pool, **entry.words(settings))
        for entry in CATALOG
    ]


async def serve_by(runner: Runner, settings: Settings) -> None:
    """Register every deployment, its runs to be taken up by the runner."""
    for entry in CATALOG:
        await runner.aadd_flow(entry.flow, **entry.words(settings))
