"""From the simulated Argil through the real door to a watch that would sleep for an hour."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from clients.training_watch import WatchEnd
from clients.webhook_registration import register_once
from deployments.webhook_door import webhook_door
from models.avatar import Avatar, CreateAvatar, VideoSource
from models.clock import SystemClock
from models.errors import SettingsError
from models.settings import Settings
from models.webhook import EVENTS, receiver_url
from simulator.server import ArgilSimulator
from tasks.runtime import runtime

TOKEN = "canary-token-0123456789"
PATIENCE_SECONDS = 60.0
UNDER_WAY = {"NOT_TRAINED", "TRAINING"}


@pytest.mark.usefixtures("simulated")
async def test_without_a_token_there_is_no_door() -> None:
    with pytest.raises(SettingsError, match="AVATARS_WEBHOOK_TOKEN is not set"):
        await webhook_door(Settings.load(), host="127.0.0.1", port=0).__aenter__()


@pytest.mark.parametrize(("scenario", "status"), [("", "IDLE"), ("fail", "TRAINING_FAILED")])
async def test_a_held_training_whose_next_look_is_an_hour_away_is_seen_to_end_at_once(
    simulated: ArgilSimulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    scenario: str,
    status: str,
) -> None:
    monkeypatch.setenv("AVATARS_WEBHOOK_TOKEN", TOKEN)
    for bound in ("FLOOR", "CEILING"):
        monkeypatch.setenv(f"AVATARS_POLL_{bound}_SECONDS", "3600")
    settings = Settings.load()
    seen: list[str] = []

    async def note(avatar: Avatar) -> None:
        seen.append(avatar.status)

    async with runtime() as active, webhook_door(settings, host="127.0.0.1", port=0) as base:
        await register_once(active.argil, receiver_url(base), TOKEN)
        created = await active.argil.create(
            CreateAvatar(
                name="Ada",
                dataset_video=VideoSource(url="https://videos.example/d.mp4"),
                consent_video=VideoSource(url="https://videos.example/c.mp4"),
                extras={"simulator": scenario},
            )
        )
        since = SystemClock().now()
        began = time.monotonic()
        async with asyncio.timeout(PATIENCE_SECONDS):
            end = await active.watch.until_end(created.id, since, since + timedelta(hours=6), note)
    noticed = time.monotonic() - began - simulated.world.timing.training_seconds
    assert end is WatchEnd.SETTLED
    assert seen[-1] == status
    assert len(seen) == 2  # the first look, and the one that the delivery made
    with capsys.disabled():
        print(f"\nnoticed {noticed:.2f} s after the end of the training")  # noqa: T201  # a measurement


@pytest.mark.system
async def test_of_a_thousand_deliveries_forged_repeated_and_lying_every_avatar_ends_as_argil_says(
    simulated: ArgilSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVATARS_WEBHOOK_TOKEN", TOKEN)
    monkeypatch.setenv("AVATARS_REQUESTS_PER_SECOND", "1000")
    for bound in ("FLOOR", "CEILING"):
        monkeypatch.setenv(f"AVATARS_POLL_{bound}_SECONDS", "3600")
    ends = {"": "IDLE", "fail": "TRAINING_FAILED", "refuse": "REFUSED"}
    chance = random.Random(5)  # noqa: S311  # the same thousand each time
    wanted: dict[str, str] = {}
    ended: dict[str, str] = {}

    async def note(avatar: Avatar) -> None:
        ended[avatar.id] = avatar.status

    async with runtime() as active, webhook_door(Settings.load(), host="127.0.0.1", port=0) as base:
        simulated.world.timing = replace(simulated.world.timing, training_seconds=5.0)
        since = SystemClock().now()
        watches = []
        for number in range(200):
            scenario = list(ends)[number % len(ends)]
            video = VideoSource(url="https://videos.example/v.mp4")
            created = await active.argil.create(
                CreateAvatar(
                    name=f"avatar {number}",
                    dataset_video=video,
                    consent_video=video,
                    extras={"simulator": scenario},
                )
            )
            wanted[created.id] = ends[scenario]
            watch = active.watch.until_end(created.id, since, since + timedelta(hours=6), note)
            watches.append(asyncio.create_task(watch))
        # Both events of each avatar: one of them at least is not true.
        new = [(TOKEN, avatar, event) for avatar in wanted for event in EVENTS]
        sent = [*new, *chance.choices(new, k=300), *((f"forged-{n}", "forged", EVENTS[0]) for n in range(300))]
        chance.shuffle(sent)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(avatar["status"] in UNDER_WAY for avatar in simulated.world.avatars):  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.05)
            turn = asyncio.Semaphore(20)

            async def send(http: httpx.AsyncClient, token: str, avatar: str, event: str) -> int:
                body = json.dumps({"event": event, "data": {"avatarId": avatar, "avatarName": "Ada"}})
                async with turn:
                    return (await http.post(f"{base}/webhooks/argil/{token}", content=body)).status_code

            async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as http:
                answers = Counter(await asyncio.gather(*(send(http, *one) for one in sent)))
            seen = await asyncio.gather(*watches)
    assert answers == {202: 700, 404: 300}
    assert set(seen) == {WatchEnd.SETTLED}
    assert ended == wanted
