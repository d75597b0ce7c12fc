"""Webhooks of the simulated Argil end watches whose next poll is an hour away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from clients.training_monitor import MonitorResult
from clients.webhook_registration import ensure_registered
from deployments.webhooks.receiver import Receiver, serve_receiver
from models.argil.avatar import Avatar, CreateAvatarRequest, RecordingSource
from models.argil.webhook import SUBSCRIBED_EVENTS, receiver_url
from models.clock import SystemClock
from services.context import AppContext, app_context
from simulator.server import ArgilSimulator

TOKEN = "canary-token-0123456789"
TIMEOUT_SECONDS = 60.0
IN_PROGRESS = {"NOT_TRAINED", "TRAINING"}


@contextlib.asynccontextmanager
async def serve_webhooks(context: AppContext) -> AsyncIterator[str]:
    receiver = Receiver(TOKEN, context.deliveries, SystemClock())
    async with serve_receiver(receiver, socket.create_server(("127.0.0.1", 0))) as url:
        yield url


@pytest.mark.parametrize(("scenario", "status"), [("", "IDLE"), ("fail", "TRAINING_FAILED")])
async def test_webhook_ends_a_watch_whose_next_poll_is_far_away(
    simulated: ArgilSimulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    scenario: str,
    status: str,
) -> None:
    for bound in ("MIN", "MAX"):
        monkeypatch.setenv(f"AVATARS_POLL_{bound}_SECONDS", "3600")
    polled_statuses: list[str] = []

    async def record(avatar: Avatar) -> None:
        polled_statuses.append(avatar.status)

    async with app_context() as context, serve_webhooks(context) as base:
        await ensure_registered(context.argil, receiver_url(base), TOKEN)
        created = await context.argil.create_avatar(
            CreateAvatarRequest(
                name="Ada",
                dataset_video=RecordingSource(url="https://videos.example/d.mp4"),
                consent_video=RecordingSource(url="https://videos.example/c.mp4"),
                extras={"simulator": scenario},
            )
        )
        since = SystemClock().now()
        started_at = time.monotonic()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            result = await context.training_monitor.wait_until_terminal(
                created.id, since, since + timedelta(hours=6), record
            )
    delay = time.monotonic() - started_at - simulated.account.timing.training_seconds
    assert result is MonitorResult.TERMINAL
    assert polled_statuses[-1] == status
    assert len(polled_statuses) == 2  # the first poll, and the one that the delivery triggered
    with capsys.disabled():
        print(f"\ndetected {delay:.2f} s after the end of the training")  # noqa: T201  # a measurement


@pytest.mark.system
async def test_thousand_false_deliveries_do_not_change_outcomes(
    simulated: ArgilSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVATARS_REQUESTS_PER_SECOND", "1000")
    for bound in ("MIN", "MAX"):
        monkeypatch.setenv(f"AVATARS_POLL_{bound}_SECONDS", "3600")
    statuses = {"": "IDLE", "fail": "TRAINING_FAILED", "refuse": "REFUSED"}
    rng = random.Random(5)  # noqa: S311  # reproducible
    expected: dict[str, str] = {}
    final_statuses: dict[str, str] = {}

    async def record(avatar: Avatar) -> None:
        final_statuses[avatar.id] = avatar.status

    async with app_context() as context, serve_webhooks(context) as base:
        simulated.account.timing = replace(simulated.account.timing, training_seconds=5.0)
        since = SystemClock().now()
        watches = []
        for number in range(200):
            scenario = list(statuses)[number % len(statuses)]
            video = RecordingSource(url="https://videos.example/v.mp4")
            created = await context.argil.create_avatar(
                CreateAvatarRequest(
                    name=f"avatar {number}",
                    dataset_video=video,
                    consent_video=video,
                    extras={"simulator": scenario},
                )
            )
            expected[created.id] = statuses[scenario]
            watch = context.training_monitor.wait_until_terminal(
                created.id, since, since + timedelta(hours=6), record
            )
            watches.append(asyncio.create_task(watch))
        # Both events for each avatar: at least one of them is false.
        new = [(TOKEN, avatar, event) for avatar in expected for event in SUBSCRIBED_EVENTS]
        sent = [
            *new,
            *rng.choices(new, k=300),
            *((f"forged-{n}", "forged", SUBSCRIBED_EVENTS[0]) for n in range(300)),
        ]
        rng.shuffle(sent)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while any(avatar["status"] in IN_PROGRESS for avatar in simulated.account.avatars):  # noqa: ASYNC110  # the simulator has no event for it
                await asyncio.sleep(0.05)
            semaphore = asyncio.Semaphore(20)

            async def send(http: httpx.AsyncClient, token: str, avatar: str, event: str) -> int:
                body = json.dumps({"event": event, "data": {"avatarId": avatar, "avatarName": "Ada"}})
                async with semaphore:
                    return (await http.post(f"{base}/webhooks/argil/{token}", content=body)).status_code

            async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as http:
                status_codes = Counter(await asyncio.gather(*(send(http, *delivery) for delivery in sent)))
            results = await asyncio.gather(*watches)
    assert status_codes == {202: 700, 404: 300}
    assert set(results) == {MonitorResult.TERMINAL}
    assert final_statuses == expected
