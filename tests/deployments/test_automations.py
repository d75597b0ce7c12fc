"""The ready-made automations on a real server: made once, changed in place, and doing what they say."""

from __future__ import annotations

import asyncio
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar, cast
from uuid import UUID

import pytest
from prefect import Flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.events import Automation, AutomationCore, EventTrigger, SendNotification, emit_event
from prefect.states import Completed, Running, Suspended

from deployments.automations import DEAD_RUNS, PREFIX, SLEEPERS, apply, automations
from deployments.catalog import CATALOG
from deployments.notices import NOTICES
from flows.fleet_report import fleet_report
from flows.provision_avatar import provision_avatar
from models.errors import InvalidRequest, PrefectError
from models.outcomes import OUTCOMES
from models.provisioning import Provisioning, Status
from models.reason import Reason
from models.request import ProvisioningRequest
from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator
from tasks.publish_outcome import announce, announce_duplicate

PATIENCE_SECONDS = 60
LOOK_SECONDS = 0.3
NAMES = {f"{PREFIX}notify when {notice.when}" for notice in NOTICES} | {DEAD_RUNS}
TOLD = [status for status, outcome in OUTCOMES.items() if outcome.event and status is not Status.READY]

pytestmark = [pytest.mark.prefect, pytest.mark.system]
Answer = TypeVar("Answer")


async def until(what: Callable[[], Awaitable[Answer | None]], told: str) -> Answer:
    """Ask until there is an answer; the deadline bounds a failure, it measures nothing."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up_at:
        if (answer := await what()) is not None:
            return answer
        await asyncio.sleep(LOOK_SECONDS)
    pytest.fail(f"waited in vain: {told}")


@dataclass
class Ops:
    """Where messages arrive: a web server on loopback, and the name of the block that posts to it."""

    url: str
    arrived: queue.Queue[dict[str, str]] = field(default_factory=queue.Queue)
    block: str = "custom-webhook/ops"

    async def save_block(self, name: str = "ops") -> str:
        template = {"subject": "{{subject}}", "body": "{{body}}"}
        block = CustomWebhookNotificationBlock(name=name, url=self.url, json_data=template)
        await cast("Awaitable[UUID]", block.save(name, overwrite=True))
        return f"custom-webhook/{name}"


@pytest.fixture
def ops() -> Iterator[Ops]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.arrived.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Ops(f"http://127.0.0.1:{server.server_address[1]}/")
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    serving.start()
    yield received
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture
async def client(prefect_api_url: str) -> AsyncIterator[PrefectClient]:
    async with get_client() as connected:
        yield connected
        for one in await there(connected):
            await connected.delete_automation(one.id)


async def there(client: PrefectClient) -> list[Automation]:
    return [one for one in await client.read_automations() if one.name.startswith(PREFIX)]


async def results(block: str | None) -> dict[str, str]:
    return {one.name: one.result for one in await apply(block)}


def block_of(automation: Automation) -> UUID | None:
    [action] = automation.actions
    return action.block_document_id if isinstance(action, SendNotification) else None


async def test_they_are_made_once_and_applying_again_changes_nothing(client: PrefectClient, ops: Ops) -> None:
    block = await ops.save_block()
    assert await results(block) == dict.fromkeys(NAMES, "created")
    made = await there(client)
    assert sorted(one.name for one in made) == sorted(NAMES)
    assert await results(block) == dict.fromkeys(NAMES, "unchanged")
    assert await there(client) == made


async def test_another_block_updates_them_in_place(client: PrefectClient, ops: Ops) -> None:
    await apply(await ops.save_block())
    before = {one.name: one for one in await there(client)}
    assert await results(await ops.save_block("others")) == {
        **dict.fromkeys(NAMES, "updated"),
        DEAD_RUNS: "unchanged",
    }
    after = {one.name: one for one in await there(client)}
    assert {name: one.id for name, one in after.items()} == {name: one.id for name, one in before.items()}
    assert all(block_of(after[name]) != block_of(before[name]) for name in NAMES - {DEAD_RUNS})


async def test_what_was_changed_by_hand_is_mended_and_a_pause_or_a_tag_stays(
    client: PrefectClient, ops: Ops
) -> None:
    block = await ops.save_block()
    await apply(block)
    changed, paused, *_ = await there(client)
    by_hand = AutomationCore(
        name=changed.name,
        description="changed by hand",
        trigger=changed.trigger,
        actions=changed.actions,
        tags={"by hand"},
    )
    await client.update_automation(changed.id, by_hand)
    await client.pause_automation(paused.id)
    assert await results(block) == {**dict.fromkeys(NAMES, "unchanged"), changed.name: "updated"}
    now = {one.id: one for one in await there(client)}
    assert "avatars automations apply" in now[changed.id].description
    assert list(now[changed.id].tags) == ["by hand"]
    assert not now[paused.id].enabled
    assert await results(block) == dict.fromkeys(NAMES, "unchanged")


async def test_without_a_block_what_needs_one_is_left_out_or_left_as_it_is(client: PrefectClient, ops: Ops) -> None:
    left_out = dict.fromkeys(NAMES, "left out")
    assert await results(None) == {**left_out, DEAD_RUNS: "created"}
    assert [one.name for one in await there(client)] == [DEAD_RUNS]
    assert await results(await ops.save_block()) == {**dict.fromkeys(NAMES, "created"), DEAD_RUNS: "unchanged"}
    made = await there(client)
    assert await results(None) == {**left_out, DEAD_RUNS: "unchanged"}
    assert await there(client) == made


@pytest.mark.parametrize("block", ["custom-webhook/nobody", "no-such-type/ops", "secret/canary"])
async def test_a_block_that_cannot_serve_is_an_error_and_nothing_is_made(client: PrefectClient, block: str) -> None:
    await cast("Awaitable[UUID]", Secret(value="canary-value").save("canary", overwrite=True))
    with pytest.raises(PrefectError, match=block) as caught:
        await apply(block)
    assert "`prefect block ls`" in caught.value.hint
    assert await there(client) == []


@pytest.mark.parametrize("block", ["", "ops", "/ops", "custom-webhook/"])
async def test_what_is_no_blocks_name_is_bad_usage(client: PrefectClient, block: str) -> None:
    with pytest.raises(InvalidRequest, match="TYPE-SLUG/NAME"):
        await apply(block)


def ended(status: Status) -> Provisioning:
    """Return a provisioning with no more than what an event tells of it."""
    told: dict[str, Any] = {
        "id": f"id-of-{status.lower()}",
        "reference": "canary-reference",
        "request": ProvisioningRequest(
            name=f"Ada {{{{ {status} }}}}",  # a name is no template
            dataset_video="https://videos.example/d.mp4?X-Amz-Signature=canary-signature",
            consent_video="https://videos.example/c.mp4?X-Amz-Signature=canary-signature",
        ),
        "status": status,
        "avatar_id": None if status is Status.REJECTED else "avatar-4711",
        "reasons": [Reason(code="some.code", message=f"the reason of {status}", hint="")],
    }
    return Provisioning(**{**dict.fromkeys(one.name for one in fields(Provisioning)), **told})


async def test_each_event_that_needs_a_person_arrives_as_one_message_that_says_what_to_do(
    client: PrefectClient, ops: Ops
) -> None:
    await apply(await ops.save_block())
    announce(ended(Status.READY))
    for status in TOLD:
        announce(ended(status))
    announce_duplicate(ended(Status.TRAINING), "avatar-4712")

    async def all_arrived() -> bool | None:
        return ops.arrived.qsize() >= len(NOTICES) or None

    await until(all_arrived, "the messages")
    messages = [ops.arrived.get() for _ in range(ops.arrived.qsize())]
    told = {message["subject"]: message["body"] for message in messages}
    assert len(messages) == len(told) == len(NOTICES)
    for status in TOLD:
        one = ended(status)
        body = told[f"Avatar {one.name}: {status.lower().replace('_', ' ')}"]
        outcome = OUTCOMES[status]
        assert body.startswith(f"{one.name} (provisioning {one.id}")
        assert outcome.meaning in body
        assert f"Next: {outcome.next_step_of(one.id)}.\n" in body
        assert f"`avatars show {one.id}`" in body
        assert ("avatar avatar-4711" in body) is (one.avatar_id is not None)
        assert ("- the reason of" in body) is (status in {Status.REJECTED, Status.SUBMISSION_FAILED})
    duplicated = told[f"Avatar {ended(Status.TRAINING).name}: duplicated"]
    assert "avatar avatar-4711" in duplicated
    assert "a second avatar of it, avatar-4712" in duplicated
    assert "canary" not in str(messages)


async def test_a_refused_avatar_is_told_of_by_the_command_that_provisioned_it(
    client: PrefectClient, ops: Ops, simulated: ArgilSimulator, videos: MediaHost
) -> None:
    await apply(await ops.save_block())
    words = ["provision", "--name", "Eve", "--extra", "simulator=refuse", "--json"]
    for role in ("dataset", "consent"):
        words += [f"--{role}-video", f"{videos.url(f'{role}.mp4')}?X-Amz-Signature=canary-signature"]
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "cli", *words],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 11, ran.stderr
    message = await asyncio.to_thread(ops.arrived.get, timeout=PATIENCE_SECONDS)
    assert message["subject"] == "Avatar Eve: refused"
    assert f"`avatars release {json.loads(ran.stdout)['id']} --why ...` lifts the quarantine" in message["body"]
    assert "canary" not in str(message)
    assert ops.arrived.empty()


def beat(run: FlowRun, flow: Flow[..., Any], ago: timedelta) -> None:
    """Emit a heartbeat as Prefect's engine does, of some time ago."""
    emit_event(
        event="prefect.flow-run.heartbeat",
        resource={"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.name": run.name},
        related=[
            {
                "prefect.resource.id": f"prefect.flow.{run.flow_id}",
                "prefect.resource.role": "flow",
                "prefect.resource.name": flow.name,
            }
        ],
        occurred=datetime.now(UTC) - ago,
    )


async def test_only_a_run_whose_heartbeats_stay_away_is_marked_crashed(client: PrefectClient) -> None:
    """Not one that lives, not one that ended meanwhile, and never one that sleeps."""
    await apply(None)
    [made] = await there(client)
    assert isinstance(made.trigger, EventTrigger)
    long_ago = made.trigger.within + timedelta(seconds=30)

    async def run(flow: Flow[..., Any], state: State) -> FlowRun:
        return await client.create_flow_run(flow, state=state)

    ended_run = await run(fleet_report, Completed(name="Ready"))
    sleeping = await run(provision_avatar, Suspended())
    living = await run(fleet_report, Running())
    dead = await run(fleet_report, Running())

    async def state_of(run: FlowRun) -> State | None:
        return (await client.read_flow_run(run.id)).state

    async def crashed() -> State | None:
        # Told again each time, since Prefect takes events in some time after they came; the dead one's come last.
        beat(ended_run, fleet_report, long_ago + timedelta(seconds=3))
        beat(sleeping, provision_avatar, long_ago + timedelta(seconds=2))
        beat(living, fleet_report, timedelta(0))
        beat(dead, fleet_report, long_ago)
        await client.resume_automation(made.id)  # has the server look at once, and not after the whole silence
        state = await state_of(dead)
        return state if state and state.is_final() else None

    state = await until(crashed, "the dead run")
    assert state.name == "Crashed"
    assert "no heartbeat for 0:09:00" in (state.message or "")
    others = [await state_of(one) for one in (ended_run, sleeping, living)]
    assert [one.name for one in others if one] == ["Ready", "Suspended", "Running"]


def test_no_flow_whose_runs_may_sleep_is_watched_by_heartbeats() -> None:
    [trigger] = [one.trigger for one in automations(None) if one.name == DEAD_RUNS]
    assert isinstance(trigger, EventTrigger)
    waits = {entry.flow.name: (entry.flow.parameters.properties or {}).get("wait") for entry in CATALOG}
    may_sleep = {name for name, wait in waits.items() if "suspend" in str(wait)}
    assert may_sleep == SLEEPERS
    assert not any(name in str(trigger.match_related) for name in may_sleep)
    assert all(
        entry.flow.name in str(trigger.match_related) for entry in CATALOG if entry.flow.name not in may_sleep
    )


def test_any_state_of_a_run_ends_the_waiting_for_its_next_heartbeat() -> None:
    from prefect.server.events.schemas.automations import EventTrigger as TriggerOfServer

    [trigger] = [one.trigger for one in automations(None) if one.name == DEAD_RUNS]
    as_the_server_reads_it = TriggerOfServer.model_validate(trigger.model_dump(mode="json"))
    assert as_the_server_reads_it.starts_after("prefect.flow-run.heartbeat")
    states = {outcome.state_name for outcome in OUTCOMES.values()} | {"Completed", "Suspended", "ArgilUnauthorized"}
    for name in (*states, "heartbeat"):
        assert as_the_server_reads_it.expects(f"prefect.flow-run.{name}")
        assert as_the_server_reads_it.event_pattern.match(f"prefect.flow-run.{name}")
