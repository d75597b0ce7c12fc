"""From the simulated Argil through the real door to a watch that would sleep for an hour."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from clients.training_watch import WatchEnd
from clients.webhook_registration import register_once
from deployments.webhook_door import webhook_door
from models.avatar import Avatar, CreateAvatar, VideoSource
from models.clock import SystemClock
from models.errors import SettingsError
from models.settings import Settings
from models.webhook import receiver_url
from simulator.server import ArgilSimulator
from tasks.runtime import runtime

TOKEN = "canary-token-0123456789"
PATIENCE_SECONDS = 60.0


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
            watched = await active.watch.until_end(created.id, since, since + timedelta(hours=6), note)
    noticed = time.monotonic() - began - simulated.world.timing.training_seconds
    assert watched.end is WatchEnd.SETTLED
    assert seen[-1] == status
    assert len(seen) == 2  # the first look, and the one that the delivery made
    with capsys.disabled():
        print(f"\nnoticed {noticed:.2f} s after the end of the training")  # noqa: T201  # a measurement
