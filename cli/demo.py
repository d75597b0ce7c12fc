"""`avatars demo`: every outcome on this machine, against the simulator, through real Prefect flows."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from cli.console import narrated, progress, result, say
from cli.running import error_of, ready_to_run
from cli.simulated import Simulated, simulated
from cli.tables import styled
from models.avatar import SUBMISSION_KEY
from models.clock import SystemClock
from models.errors import AvatarsError
from models.outcomes import EXIT_OK, OUTCOMES
from models.provisioning import Provisioning, Status
from models.request import ProvisioningRequest, read_request
from models.settings import Settings
from simulator.videos import sample
from tasks.runtime import open_store

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

TRAINING_SECONDS = 4.0

PACE = {
    "AVATARS_POLL_FLOOR_SECONDS": "0.5",
    "AVATARS_POLL_CEILING_SECONDS": "2",
    "AVATARS_LOOKUP_GRACE_SECONDS": "6",
    "AVATARS_TRAINING_TIMEOUT_SECONDS": "20",
    "AVATARS_REQUESTS_PER_SECOND": "50",
}
"""Hours in seconds; everything else is as in earnest."""


@dataclass(frozen=True)
class Case:
    """One avatar of the demo: its inputs, the fault the simulator plays, and what must come of it."""

    name: str
    expected: Status
    avatars: int
    fault: str | None = None
    dataset: str = "dataset.mp4"
    consent: str = "consent.mp4"
    own_copies: bool = False
    """Whether it has files of its own: those of a refused avatar go into quarantine."""


CASES = (
    Case("All is well", Status.READY, 1),
    Case("Argil fails to train it", Status.TRAINING_FAILED, 1, "fail"),
    Case("Moderation refuses it", Status.REFUSED, 1, "refuse", own_copies=True),
    Case("Its training never ends", Status.TIMED_OUT, 1, "never"),
    Case("Both videos break rules", Status.REJECTED, 0, None, "dataset-40s.mp4", "consent-45s.mp4"),
    Case("Argil is down at first (503)", Status.READY, 1, "unavailable"),
    Case("The line is cut after the create", Status.READY, 1, "cut-after-create"),
    Case("Argil says a status nobody knows", Status.READY, 1, "unknown-status"),
    Case("Argil refuses the request (422)", Status.SUBMISSION_FAILED, 0, "invalid"),
    Case("Argil loses the avatar", Status.VANISHED, 1, "vanish"),
)


def _request(case: Case, number: int, world: Simulated, demo_id: str) -> ProvisioningRequest:
    names = [case.dataset, case.consent]
    for name in names:
        sample(name, world.videos)
    if case.own_copies:
        copies = [f"{number}-{name}" for name in names]
        for name, copy in zip(names, copies, strict=True):
            shutil.copyfile(world.videos / name, world.videos / copy)
        names = copies
    return read_request(
        {
            "name": case.name,
            "dataset_video": world.media.url(names[0]),
            "consent_video": world.media.url(names[1]),
            "extras": {"simulator": case.fault} if case.fault else {},
            "reference": f"demo-{demo_id}-{number}",
        }
    )


async def _provision_all(requests: list[ProvisioningRequest]) -> list[Provisioning]:
    from flows.provision_avatar import provision_avatar

    runs = (provision_avatar(request, return_state=True) for request in requests)
    states: list[State] = await asyncio.gather(*runs)
    for state in states:
        if (error := await error_of(state)) is not None:
            raise error
    async with open_store(Settings.load(), SystemClock()) as (ledger, _, _):
        return [await ledger.get(request.reference or "") for request in requests]


async def _submission_ids(provisioning: Provisioning) -> set[str]:
    async with open_store(Settings.load(), SystemClock()) as (ledger, _, _):
        return {submission.id for submission in await ledger.submissions(provisioning.id)}


def _avatars_made(provisioning: Provisioning, world: Simulated) -> int:
    ours = asyncio.run(_submission_ids(provisioning))
    return sum(avatar["extras"].get(SUBMISSION_KEY) in ours for avatar in world.argil.world.avatars)


def demo() -> int:
    """Run the whole thing on this machine: simulator, Prefect, every branch. Ends by itself."""
    with simulated(training_seconds=TRAINING_SECONDS) as world:
        os.environ.update({**world.environment, **PACE})
        say(f"simulated Argil API at {world.argil.api_url}, sample videos at {world.media.base_url}")
        demo_id = uuid.uuid4().hex[:8]
        requests = [_request(case, number, world, demo_id) for number, case in enumerate(CASES, 1)]
        with ready_to_run(Settings.load()), narrated(f"provisioning {len(CASES)} avatars"):
            found = asyncio.run(_provision_all(requests))
        made = [_avatars_made(one, world) for one in found]
    surprises = _print(found, made)
    progress.print("\nThe ledger keeps it: `avatars list`, `avatars show ID`.")
    if surprises:
        raise AvatarsError(f"the demo ended otherwise than it must: {'; '.join(surprises)}")
    return EXIT_OK


def _print(found: list[Provisioning], made: list[int]) -> list[str]:
    """Print the table; returns what is not as it must be."""
    table = Table("What happens", "Outcome", "Avatars at Argil", "Reasons and what to do next", show_lines=True)
    surprises = []
    for case, one, count in zip(CASES, found, made, strict=True):
        reasons = [f"{reason.code}: {reason.message}" for reason in one.reasons]
        told = "\n".join([*reasons, f"→ {OUTCOMES[one.status].next_step_of(one.id)}"])
        table.add_row(escape(case.name), styled(one.status), str(count), escape(told))
        if (one.status, count) != (case.expected, case.avatars):
            surprises.append(f"{case.name}: {one.status} with {count} avatars")
    result.print(table)
    return surprises
