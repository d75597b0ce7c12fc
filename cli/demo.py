"""`avatars demo`: show every outcome with the simulator and real Prefect flows on this machine."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from cli.console import print_status, show_run_log
from cli.flow_runner import prepared_environment, run_for_error
from cli.rendering import styled
from cli.simulated_environment import SimulatedEnvironment, simulated_environment
from cli.terminal import shown, shown_lines, stderr_console, stdout_console
from models.clock import SystemClock
from models.errors import AvatarsError
from models.exit_codes import EXIT_OK
from models.outcomes import next_step
from models.provisioning import Provisioning, Status
from models.request import ProvisioningRequest, parse_request
from models.request_fields import SUBMISSION_ID_EXTRA
from models.settings import HOME, Settings
from services.store import open_store
from simulator.sample_videos import copy_as_another_recording, ensure_sample

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

TRAINING_SECONDS = 4.0

FAST_SETTINGS = {
    "AVATARS_POLL_MIN_SECONDS": "0.5",
    "AVATARS_POLL_MAX_SECONDS": "2",
    "AVATARS_LOOKUP_GRACE_SECONDS": "6",
    "AVATARS_GONE_AFTER_SECONDS": "6",
    "AVATARS_TRAINING_TIMEOUT_SECONDS": "20",
    "AVATARS_REQUESTS_PER_SECOND": "50",
}
"""Short intervals and timeouts, so that the demo takes seconds; all other settings keep their defaults."""


@dataclass(frozen=True)
class DemoCase:
    """One avatar of the demo: its inputs, the fault that the simulator injects, and the expected outcome."""

    name: str
    expected: Status
    avatars: int
    fault: str | None = None
    dataset: str = "dataset.mp4"
    consent: str = "consent.mp4"
    uses_separate_files: bool = False
    """Whether the case has videos of its own; those of a refused avatar are quarantined."""


CASES = (
    DemoCase("No fault", Status.READY, 1),
    DemoCase("Training fails at Argil", Status.TRAINING_FAILED, 1, "fail"),
    DemoCase("Moderation refuses the avatar", Status.REFUSED, 1, "refuse", uses_separate_files=True),
    DemoCase("Training does not finish", Status.TIMED_OUT, 1, "never"),
    DemoCase("Both videos break rules", Status.REJECTED, 0, None, "dataset-40s.mp4", "consent-45s.mp4"),
    DemoCase("Argil is unavailable at first (503)", Status.READY, 1, "unavailable"),
    DemoCase("Connection drops after the submission", Status.READY, 1, "cut-after-create"),
    DemoCase("Argil returns an unknown status", Status.READY, 1, "unknown-status"),
    DemoCase("Argil rejects the request (422)", Status.SUBMISSION_FAILED, 0, "invalid"),
    DemoCase("The avatar disappears at Argil", Status.VANISHED, 1, "vanish"),
)


def _request(case: DemoCase, number: int, simulated: SimulatedEnvironment, demo_id: str) -> ProvisioningRequest:
    names = [case.dataset, case.consent]
    for name in names:
        ensure_sample(name, simulated.videos)
    if case.uses_separate_files:
        copies = [f"{number}-{name}" for name in names]
        for name, copy in zip(names, copies, strict=True):
            copy_as_another_recording(simulated.videos / name, simulated.videos / copy)
        names = copies
    return parse_request(
        {
            "name": case.name,
            "dataset_video": simulated.media.url(names[0]),
            "consent_video": simulated.media.url(names[1]),
            "extras": {"simulator": case.fault} if case.fault else {},
            "reference": f"demo-{demo_id}-{number}",
        }
    )


async def _provision_all(requests: list[ProvisioningRequest]) -> list[Provisioning]:
    from flows.provision_avatar import provision_avatar

    async def run(request: ProvisioningRequest) -> AvatarsError | None:
        async def start() -> State:
            state: State = await provision_avatar(request, return_state=True)
            return state

        return await run_for_error(start, f"the run of case {request.name!r}")

    for error in await asyncio.gather(*map(run, requests)):
        if error is not None:
            raise error
    async with open_store(Settings.load(), SystemClock()) as store:
        return [await store.ledger.get(request.reference or "") for request in requests]


async def _submission_ids(provisioning: Provisioning) -> set[str]:
    async with open_store(Settings.load(), SystemClock()) as store:
        return {submission.id for submission in await store.ledger.list_submissions(provisioning.id)}


def _count_avatars(provisioning: Provisioning, simulated: SimulatedEnvironment) -> int:
    submission_ids = asyncio.run(_submission_ids(provisioning))
    return sum(
        avatar["extras"].get(SUBMISSION_ID_EXTRA) in submission_ids for avatar in simulated.argil.account.avatars
    )


def demo() -> int:
    """Show every outcome on this machine against the simulator.

    It takes one or two minutes, needs neither a network nor an API key, and costs nothing.
    """
    data_dir = HOME / "demo"
    with simulated_environment(training_seconds=TRAINING_SECONDS, data_dir=data_dir) as simulated:
        simulated.apply(keeps_behaviour=False)
        os.environ.update(FAST_SETTINGS)
        print_status(
            f"simulated Argil API at {simulated.argil.api_url}, sample videos at {simulated.media.base_url}"
        )
        demo_id = uuid.uuid4().hex[:8]
        requests = [_request(case, number, simulated, demo_id) for number, case in enumerate(CASES, 1)]
        with prepared_environment(Settings.load()), show_run_log(f"provisioning {len(CASES)} avatars"):
            provisionings = asyncio.run(_provision_all(requests))
        avatar_counts = [_count_avatars(provisioning, simulated) for provisioning in provisionings]
    failures = _print(provisionings, avatar_counts)
    print_status("the demo has a ledger of its own, which keeps the results; to list them:")
    ledger = shlex.quote(os.environ["AVATARS_DATABASE_URL"])
    program = "avatars" if shutil.which("avatars") else shlex.quote(sys.argv[0])  # `make demo` leaves PATH as it is
    stderr_console.print(f"AVATARS_DATABASE_URL={ledger} {program} list", markup=False, soft_wrap=True)
    if failures:
        raise AvatarsError(f"the demo did not produce the expected outcomes: {'; '.join(failures)}")
    return EXIT_OK


def _print(provisionings: list[Provisioning], avatar_counts: list[int]) -> list[str]:
    """Print the results and return the cases whose outcome differs from the expected one."""
    table = Table("Case", "Outcome", "Avatars at Argil", "Reasons and what to do next", show_lines=True)
    failures = []
    for case, provisioning, count in zip(CASES, provisionings, avatar_counts, strict=True):
        reasons = [f"{reason.code}: {reason.message}" for reason in provisioning.reasons]
        text = shown_lines([*reasons, f"→ {next_step(provisioning)}"])
        table.add_row(shown(case.name), styled(provisioning.status), str(count), text)
        if (provisioning.status, count) != (case.expected, case.avatars):
            failures.append(f"{case.name}: {provisioning.status} with {count} avatars")
    stdout_console.print(table)
    return failures
