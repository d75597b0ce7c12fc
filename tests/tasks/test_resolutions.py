"""What `avatars show` tells of each create: how it was resolved, at a glance and as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from models.errors import ArgilUnavailable
from models.provisioning import Provisioning, Status
from models.resolution import Resolution, Resolved, resolutions
from simulator.server import ArgilSimulator
from tests.tasks.conftest import GRACE_SECONDS, Desk, EventfulClock, unattended


async def resolved(desk: Desk, one: Provisioning) -> list[Resolved]:
    ledger = desk.active.ledger
    submissions = await ledger.submissions(one.id)
    return list(resolutions(submissions, await ledger.events(one.id), await ledger.duplicates(one.id)).values())


async def told(desk: Desk, one: Provisioning) -> list[tuple[Resolution, str]]:
    return [(each.kind, each.told) for each in await resolved(desk, one)]


async def show(ledger: Path, *words: str) -> str:
    """Run the command as its users do."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "show", *words),
        env={**os.environ, "AVATARS_DATABASE_URL": f"sqlite+aiosqlite:///{ledger}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    return out.decode()


async def test_a_create_that_was_answered_says_so(desk: Desk) -> None:
    assert await told(desk, await desk.submitted()) == [(Resolution.ANSWERED, "answered")]


async def test_a_create_that_was_surely_not_taken_says_so(desk: Desk) -> None:
    accepted = await desk.accepted("payment-required")
    with pytest.raises(ArgilUnavailable):
        await desk.submitted_from(accepted)
    assert await told(desk, accepted) == [(Resolution.NOT_TAKEN, "Argil surely took nothing")]
    refused = await desk.submitted("invalid", reference="ada-2", name="Grace")
    assert await told(desk, refused) == [(Resolution.NOT_TAKEN, "Argil surely took nothing (422)")]


async def test_a_create_without_an_answer_is_unknown_and_then_adopted(desk: Desk, clock: EventfulClock) -> None:
    unknown = await desk.submitted("cut-after-create")
    assert await told(desk, unknown) == [(Resolution.UNKNOWN, "no answer; still unknown")]
    adopted = await desk.found(unknown)
    assert await told(desk, adopted) == [
        (Resolution.ADOPTED, "no answer; adopted: its avatar was found by its key")
    ]


async def test_a_create_whose_driver_died_is_under_way_until_it_is_adopted(desk: Desk) -> None:
    left, _ = await desk.active.ledger.begin_submission(await desk.accepted(), desk.driver, "recorded")
    assert [kind for kind, _ in await told(desk, left)] == [Resolution.UNDER_WAY]


async def test_an_avatar_that_shows_up_after_its_cancellation_was_adopted(desk: Desk) -> None:
    from tasks.cancel import cancel

    unknown = await desk.submitted("cut-after-create")
    cancelled = await cancel(desk.active.ledger, unknown, desk.driver, "a person cancelled it")
    await unattended(desk.driver)
    assert cancelled.status is Status.CANCELLED
    assert [kind for kind, _ in await told(desk, cancelled)] == [Resolution.ADOPTED]


async def test_show_tells_what_was_lost_and_submitted_anew(desk: Desk, ledger_file: Path) -> None:
    lost = await desk.found(await desk.submitted("cut-before-create"))
    assert (await told(desk, lost))[0][1].endswith("grace period, not submitted anew yet")
    training = await desk.submitted_from(lost)
    out = " ".join((await show(ledger_file, training.id)).replace("│", " ").split())
    assert "no answer; taken for lost after" in out
    document = json.loads(await show(ledger_file, training.id, "--json"))
    assert [(each["state"], each["resolution"], each["resolved"]) for each in document["submissions"]] == [
        ("LOST", "lost", "no answer; taken for lost after the grace period, submitted anew as #2"),
        ("TAKEN", "answered", "answered"),
    ]


@pytest.mark.parametrize("timing", [{"list_lag_seconds": GRACE_SECONDS + 20}])
async def test_show_names_the_duplicate(
    desk: Desk, argil: ArgilSimulator, clock: EventfulClock, ledger_file: Path
) -> None:
    lost = await desk.found(await desk.submitted("cut-after-create,garbled,list-lag"))
    unknown = await desk.submitted_from(lost)
    clock.pass_(3600)
    adopted = await desk.found(unknown)
    _, second = argil.world.avatars
    kept, other = await resolved(desk, adopted)
    assert (kept.kind, kept.duplicates) == (Resolution.ADOPTED, ())
    assert (other.kind, other.duplicates) == (Resolution.DUPLICATE, (second["id"],))
    table = (await show(ledger_file, adopted.id)).partition("Creates")[2]
    assert "duplicate reported" in table
    document = json.loads(await show(ledger_file, adopted.id, "--json"))
    assert [each["duplicates"] for each in document["submissions"]] == [[], [second["id"]]]
