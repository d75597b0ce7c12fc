"""How `avatars show` describes the resolution of each submission, as a table and as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from models.errors import ArgilUnavailable
from models.limits import MAX_PAUSE
from models.provisioning import Provisioning, Status
from models.submission_resolution import Resolution, ResolvedSubmission, resolve_submissions
from simulator.server import ArgilSimulator
from tests.provisioning_harness import GRACE_SECONDS, ProvisioningHarness, ScriptedClock, list_orphaned


async def resolved(harness: ProvisioningHarness, provisioning: Provisioning) -> list[ResolvedSubmission]:
    ledger = harness.context.ledger
    submissions = await ledger.list_submissions(provisioning.id)
    return list(
        resolve_submissions(
            submissions, await ledger.list_events(provisioning.id), await ledger.list_duplicates(provisioning.id)
        ).values()
    )


async def resolution_texts(
    harness: ProvisioningHarness, provisioning: Provisioning
) -> list[tuple[Resolution, str]]:
    return [(submission.kind, submission.description) for submission in await resolved(harness, provisioning)]


async def show(ledger: Path, *args: str) -> str:
    """Run `avatars show` as a process and return its output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "show", *args),
        env={**os.environ, "AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{ledger}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    return out.decode()


async def test_submission_with_a_response_is_answered(harness: ProvisioningHarness) -> None:
    assert await resolution_texts(harness, await harness.submitted()) == [(Resolution.ANSWERED, "answered")]


async def test_rejected_submission_is_not_created(harness: ProvisioningHarness, clock: ScriptedClock) -> None:
    accepted = await harness.accepted("payment-required")
    with pytest.raises(ArgilUnavailable):
        await harness.submitted_from(accepted)
    assert await resolution_texts(harness, accepted) == [(Resolution.NOT_CREATED, "Argil did not create an avatar")]
    clock.advance(MAX_PAUSE.total_seconds())
    refused = await harness.submitted("invalid", reference="ada-2", name="Grace")
    assert await resolution_texts(harness, refused) == [
        (Resolution.NOT_CREATED, "Argil did not create an avatar (422)")
    ]


async def test_submission_without_a_response_is_unknown_then_adopted(
    harness: ProvisioningHarness, clock: ScriptedClock
) -> None:
    unknown = await harness.submitted("cut-after-create")
    assert await resolution_texts(harness, unknown) == [(Resolution.UNKNOWN, "no answer; not resolved yet")]
    adopted = await harness.resolve_submission(unknown)
    assert await resolution_texts(harness, adopted) == [
        (Resolution.ADOPTED, "no answer; adopted: its avatar was found by its submission id")
    ]


async def test_pending_submission_is_in_progress(harness: ProvisioningHarness) -> None:
    orphaned, _ = await harness.context.ledger.begin_submission(await harness.accepted(), harness.owner, "recorded")
    assert [kind for kind, _ in await resolution_texts(harness, orphaned)] == [Resolution.IN_PROGRESS]


async def test_avatar_found_after_a_cancellation_is_adopted(harness: ProvisioningHarness) -> None:
    from services.cancellation import cancel_provisioning

    unknown = await harness.submitted("cut-after-create")
    cancelled = await cancel_provisioning(harness.context.ledger, unknown, harness.owner, "a person cancelled it")
    await list_orphaned(harness.owner)
    assert cancelled.status is Status.CANCELLED
    assert [kind for kind, _ in await resolution_texts(harness, cancelled)] == [Resolution.ADOPTED]


async def test_show_describes_a_lost_and_repeated_submission(
    harness: ProvisioningHarness, ledger_file: Path
) -> None:
    lost = await harness.resolve_submission(await harness.submitted("cut-before-create"))
    assert (await resolution_texts(harness, lost))[0][1].endswith("grace period, not submitted again yet")
    training = await harness.submitted_from(lost)
    out = " ".join((await show(ledger_file, training.id)).replace("│", " ").split())
    assert "no answer; presumed lost after" in out
    document = json.loads(await show(ledger_file, training.id, "--json"))
    assert [(row["state"], row["resolution"], row["resolution_text"]) for row in document["submissions"]] == [
        ("LOST", "lost", "no answer; presumed lost after the grace period, submitted again as #2"),
        ("CREATED", "answered", "answered"),
    ]


@pytest.mark.parametrize("timing", [{"list_lag_seconds": GRACE_SECONDS + 20}])
async def test_show_names_the_duplicate(
    harness: ProvisioningHarness, argil: ArgilSimulator, clock: ScriptedClock, ledger_file: Path
) -> None:
    lost = await harness.resolve_submission(await harness.submitted("cut-after-create,garbled,list-lag"))
    unknown = await harness.submitted_from(lost)
    clock.advance(3600)
    adopted = await harness.resolve_submission(unknown)
    _, second = argil.account.avatars
    adopted_submission, duplicate = await resolved(harness, adopted)
    assert (adopted_submission.kind, adopted_submission.duplicate_avatar_ids) == (Resolution.ADOPTED, ())
    assert (duplicate.kind, duplicate.duplicate_avatar_ids) == (Resolution.DUPLICATE, (second["id"],))
    table = (await show(ledger_file, adopted.id)).partition("Submissions")[2]
    assert "duplicate reported" in table
    document = json.loads(await show(ledger_file, adopted.id, "--json"))
    assert [row["duplicate_avatar_ids"] for row in document["submissions"]] == [[], [second["id"]]]
