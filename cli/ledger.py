"""`avatars show` and `release`: read and change the ledger without Prefect."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

from cli.console import print_json, print_line, print_status
from cli.options import JsonFlag, ProvisioningKey
from cli.rendering import print_history, print_outcome
from models.clock import SystemClock
from models.exit_codes import EXIT_OK
from models.media.image_facts import describe_image
from models.media.rules import MediaRole
from models.outcomes import next_step
from models.provisioning import LeaseOwner, Status
from models.reports.json_views import provisioning_detail, shown_recordings
from models.settings import Settings
from models.submission_resolution import resolve_submissions
from services.limit_report import read_limits
from services.store import open_store


def show(provisioning: ProvisioningKey, /, *, json: JsonFlag = False) -> int:
    """Show one provisioning with its history and its submissions."""

    async def read() -> None:
        settings = Settings.load()
        async with open_store(settings, SystemClock()) as store:
            stored = await store.ledger.get(provisioning)
            is_released = await store.quarantine.is_released(stored)
            limits = await read_limits(store, settings, stored.batch_id)
            events = await store.ledger.list_events(stored.id)
            submissions = await store.ledger.list_submissions(stored.id)
            resolved = resolve_submissions(submissions, events, await store.ledger.list_duplicates(stored.id))
        if json:
            print_json({**provisioning_detail(stored, submissions, events, resolved), "limits": limits.to_json()})
        else:
            print_outcome(stored, is_released=is_released)
            for role, address in shown_recordings(stored).items():
                print_line(f"  {role}: {address}")
            for name, value in stored.request.extras.items():
                print_line(f"  extra {name}={value}")
            if image := describe_image((stored.media_facts or {}).get(MediaRole.IMAGE)):
                print_line(f"  image: {image}")
            if stored.status is Status.ACCEPTED:
                for line in limits.describe():
                    print_line(f"  limit: {line}")
            print_history(events, submissions, resolved)

    asyncio.run(read())
    return EXIT_OK


def release(provisioning: ProvisioningKey, /, *, reason: str) -> int:
    """Release the recordings of a refused avatar from quarantine.

    Args:
        reason: Who decided and why; it is recorded in the ledger.

    """

    async def write() -> tuple[Sequence[str], str]:
        async with open_store(Settings.load(), SystemClock()) as store:
            stored = await store.ledger.get(provisioning)
            owner = LeaseOwner(actor="release", id=str(uuid.uuid4()))
            released = await store.quarantine.release(stored, reason, owner)
            return released, next_step(stored, is_released=await store.quarantine.is_released(stored))

    released, step = asyncio.run(write())
    for identity in released:
        print_line(f"released {identity}")
    if not released:
        print_status("the recordings of this provisioning were released before")
    print_status(f"next: {step}")
    return EXIT_OK
