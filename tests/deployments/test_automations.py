"""The ready-made automations on a real Prefect server: created once, updated in place, and effective."""

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

from deployments.automations import MARK_CRASHED_RUNS, PREFIX, SUSPENDABLE_FLOWS, apply, build_automations
from deployments.catalog import CATALOG
from deployments.notifications import NOTIFICATION_TEMPLATES
from flows.fleet_report import fleet_report
from flows.provision_avatar import provision_avatar
from models.errors import InvalidRequest, PrefectError
from models.outcomes import OUTCOMES
from models.provisioning import Provisioning, Status
from models.reason import Reason
from models.request import ProvisioningRequest
from services.prefect_api.events import emit_duplicate_event, emit_outcome_event
from simulator.media_host import MediaHost
from simulator.server import ArgilSimulator

TIMEOUT_SECONDS = 60
POLL_SECONDS = 0.3
NAMES = {f"{PREFIX}notify when {template.title}" for template in NOTIFICATION_TEMPLATES} | {MARK_CRASHED_RUNS}
NOTIFIED_STATUSES = [status for status, outcome in OUTCOMES.items() if outcome.event and status is not Status.READY]

pytestmark = [pytest.mark.prefect, pytest.mark.system]
Result = TypeVar("Result")


async def wait_for(condition: Callable[[], Awaitable[Result | None]], description: str) -> Result:
    """Await the condition until it returns a result; the timeout only ends a failing test."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if (result := await condition()) is not None:
            return result
        await asyncio.sleep(POLL_SECONDS)
    pytest.fail(f"timed out waiting for {description}")


@dataclass
class NotificationSink:
    """A web server on loopback that receives messages, and the name of the block that posts to it."""

    url: str
    messages: queue.Queue[dict[str, str]] = field(default_factory=queue.Queue)
    block: str = "custom-webhook/ops"

    async def save_block(self, name: str = "ops") -> str:
        template = {"subject": "{{subject}}", "body": "{{body}}"}
        block = CustomWebhookNotificationBlock(name=name, url=self.url, json_data=template)
        await cast("Awaitable[UUID]", block.save(name, overwrite=True))
        return f"custom-webhook/{name}"


@pytest.fixture
def ops() -> Iterator[NotificationSink]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sink.messages.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sink = NotificationSink(f"http://127.0.0.1:{server.server_address[1]}/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield sink
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def client(prefect_api_url: str) -> AsyncIterator[PrefectClient]:
    async with get_client() as connected:
        yield connected
        for automation in await list_installed(connected):
            await connected.delete_automation(automation.id)


async def list_installed(client: PrefectClient) -> list[Automation]:
    return [automation for automation in await client.read_automations() if automation.name.startswith(PREFIX)]


async def apply_results(block: str | None) -> dict[str, str]:
    return {applied.name: applied.result for applied in await apply(block)}


def block_id_of(automation: Automation) -> UUID | None:
    [action] = automation.actions
    return action.block_document_id if isinstance(action, SendNotification) else None


async def test_apply_is_idempotent(client: PrefectClient, ops: NotificationSink) -> None:
    block = await ops.save_block()
    assert await apply_results(block) == dict.fromkeys(NAMES, "created")
    installed = await list_installed(client)
    assert sorted(automation.name for automation in installed) == sorted(NAMES)
    assert await apply_results(block) == dict.fromkeys(NAMES, "unchanged")
    assert await list_installed(client) == installed


async def test_apply_with_another_block_updates_in_place(client: PrefectClient, ops: NotificationSink) -> None:
    await apply(await ops.save_block())
    before = {automation.name: automation for automation in await list_installed(client)}
    assert await apply_results(await ops.save_block("others")) == {
        **dict.fromkeys(NAMES, "updated"),
        MARK_CRASHED_RUNS: "unchanged",
    }
    after = {automation.name: automation for automation in await list_installed(client)}
    assert {name: automation.id for name, automation in after.items()} == {
        name: automation.id for name, automation in before.items()
    }
    assert all(block_id_of(after[name]) != block_id_of(before[name]) for name in NAMES - {MARK_CRASHED_RUNS})


async def test_apply_resets_edits_but_keeps_pause_and_tags(client: PrefectClient, ops: NotificationSink) -> None:
    block = await ops.save_block()
    await apply(block)
    edited, paused, *_ = await list_installed(client)
    edit = AutomationCore(
        name=edited.name,
        description="edited by a user",
        trigger=edited.trigger,
        actions=edited.actions,
        tags={"user tag"},
    )
    await client.update_automation(edited.id, edit)
    await client.pause_automation(paused.id)
    assert await apply_results(block) == {**dict.fromkeys(NAMES, "unchanged"), edited.name: "updated"}
    current = {automation.id: automation for automation in await list_installed(client)}
    assert "avatars automations apply" in current[edited.id].description
    assert list(current[edited.id].tags) == ["user tag"]
    assert not current[paused.id].enabled
    assert await apply_results(block) == dict.fromkeys(NAMES, "unchanged")


async def test_apply_without_a_block_skips_notifications(client: PrefectClient, ops: NotificationSink) -> None:
    skipped = dict.fromkeys(NAMES, "skipped")
    assert await apply_results(None) == {**skipped, MARK_CRASHED_RUNS: "created"}
    assert [automation.name for automation in await list_installed(client)] == [MARK_CRASHED_RUNS]
    assert await apply_results(await ops.save_block()) == {
        **dict.fromkeys(NAMES, "created"),
        MARK_CRASHED_RUNS: "unchanged",
    }
    installed = await list_installed(client)
    assert await apply_results(None) == {**skipped, MARK_CRASHED_RUNS: "unchanged"}
    assert await list_installed(client) == installed


@pytest.mark.parametrize("block", ["custom-webhook/missing", "no-such-type/ops", "secret/canary"])
async def test_apply_with_an_unusable_block_creates_nothing(client: PrefectClient, block: str) -> None:
    await cast("Awaitable[UUID]", Secret(value="canary-value").save("canary", overwrite=True))
    with pytest.raises(PrefectError, match=block) as caught:
        await apply(block)
    assert "`prefect block ls`" in caught.value.hint
    assert await list_installed(client) == []


@pytest.mark.parametrize("block", ["", "ops", "/ops", "custom-webhook/"])
async def test_malformed_block_name_is_a_usage_error(client: PrefectClient, block: str) -> None:
    with pytest.raises(InvalidRequest, match="TYPE-SLUG/NAME"):
        await apply(block)


def make_provisioning(status: Status) -> Provisioning:
    """Return a provisioning with only the fields that events use."""
    values: dict[str, Any] = {
        "id": f"id-of-{status.lower()}",
        "reference": "canary-reference",
        "request": ProvisioningRequest(
            name=f"Ada {{{{ {status} }}}}",  # a name is not a template
            dataset_video="https://videos.example/d.mp4?X-Amz-Signature=canary-signature",
            consent_video="https://videos.example/c.mp4?X-Amz-Signature=canary-signature",
        ),
        "status": status,
        "avatar_id": None if status is Status.REJECTED else "avatar-4711",
        "reasons": [Reason(code="some.code", message=f"the reason for {status}", hint="")],
    }
    return Provisioning(**{**dict.fromkeys(field.name for field in fields(Provisioning)), **values})


async def test_each_event_sends_one_message_with_the_next_step(
    client: PrefectClient, ops: NotificationSink
) -> None:
    await apply(await ops.save_block())
    emit_outcome_event(make_provisioning(Status.READY))
    for status in NOTIFIED_STATUSES:
        emit_outcome_event(make_provisioning(status))
    emit_duplicate_event(make_provisioning(Status.TRAINING), "avatar-4712")

    async def all_arrived() -> bool | None:
        return ops.messages.qsize() >= len(NOTIFICATION_TEMPLATES) or None

    await wait_for(all_arrived, "the messages")
    messages = [ops.messages.get() for _ in range(ops.messages.qsize())]
    body_by_subject = {message["subject"]: message["body"] for message in messages}
    assert len(messages) == len(body_by_subject) == len(NOTIFICATION_TEMPLATES)
    for status in NOTIFIED_STATUSES:
        provisioning = make_provisioning(status)
        body = body_by_subject[f"Avatar {provisioning.name}: {status.lower().replace('_', ' ')}"]
        outcome = OUTCOMES[status]
        assert body.startswith(f"{provisioning.name} (provisioning {provisioning.id}")
        assert outcome.description in body
        assert f"Next: {outcome.next_step_for(provisioning.id)}.\n" in body
        assert f"`avatars show {provisioning.id}`" in body
        assert ("avatar avatar-4711" in body) is (provisioning.avatar_id is not None)
        assert ("- the reason for" in body) is (status in {Status.REJECTED, Status.SUBMISSION_FAILED})
    duplicated = body_by_subject[f"Avatar {make_provisioning(Status.TRAINING).name}: duplicated"]
    assert "avatar avatar-4711" in duplicated
    assert "a second avatar for it, avatar-4712" in duplicated
    assert "canary" not in str(messages)


async def test_provision_command_notifies_of_a_refused_avatar(
    client: PrefectClient, ops: NotificationSink, simulated: ArgilSimulator, videos: MediaHost
) -> None:
    await apply(await ops.save_block())
    args = ["provision", "--name", "Eve", "--extra", "simulator=refuse", "--json"]
    for role in ("dataset", "consent"):
        args += [f"--{role}-video", f"{videos.url(f'{role}.mp4')}?X-Amz-Signature=canary-signature"]
    completed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "cli", *args],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert completed.returncode == 11, completed.stderr
    message = await asyncio.to_thread(ops.messages.get, timeout=TIMEOUT_SECONDS)
    assert message["subject"] == "Avatar Eve: refused"
    assert (
        f"`avatars release {json.loads(completed.stdout)['id']} --reason ...` lifts the quarantine"
        in message["body"]
    )
    assert "canary" not in str(message)
    assert ops.messages.empty()


def emit_heartbeat(run: FlowRun, flow: Flow[..., Any], ago: timedelta) -> None:
    """Emit a heartbeat like Prefect's engine, dated `ago` in the past."""
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


async def test_only_a_run_without_heartbeats_is_marked_crashed(client: PrefectClient) -> None:
    """Runs that are alive, finished or suspended are not marked."""
    await apply(None)
    [automation] = await list_installed(client)
    assert isinstance(automation.trigger, EventTrigger)
    long_ago = automation.trigger.within + timedelta(seconds=30)

    async def run(flow: Flow[..., Any], state: State) -> FlowRun:
        return await client.create_flow_run(flow, state=state)

    finished = await run(fleet_report, Completed(name="Ready"))
    suspended = await run(provision_avatar, Suspended())
    alive = await run(fleet_report, Running())
    dead = await run(fleet_report, Running())

    async def state_of(run: FlowRun) -> State | None:
        return (await client.read_flow_run(run.id)).state

    async def crashed() -> State | None:
        # Emitted on every attempt, because Prefect processes events with a delay. Those of the dead run come last.
        emit_heartbeat(finished, fleet_report, long_ago + timedelta(seconds=3))
        emit_heartbeat(suspended, provision_avatar, long_ago + timedelta(seconds=2))
        emit_heartbeat(alive, fleet_report, timedelta(0))
        emit_heartbeat(dead, fleet_report, long_ago)
        await client.resume_automation(
            automation.id
        )  # makes the server evaluate the trigger now, not after `within`
        state = await state_of(dead)
        return state if state and state.is_final() else None

    state = await wait_for(crashed, "the dead run")
    assert state.name == "Crashed"
    assert "no heartbeat for 0:09:00" in (state.message or "")
    others = [await state_of(flow_run) for flow_run in (finished, suspended, alive)]
    assert [state.name for state in others if state] == ["Ready", "Suspended", "Running"]


def test_crash_automation_excludes_suspendable_flows() -> None:
    [trigger] = [
        automation.trigger for automation in build_automations(None) if automation.name == MARK_CRASHED_RUNS
    ]
    assert isinstance(trigger, EventTrigger)
    waits = {spec.flow.name: (spec.flow.parameters.properties or {}).get("wait") for spec in CATALOG}
    suspendable = {name for name, wait in waits.items() if "suspend" in str(wait)}
    assert suspendable == SUSPENDABLE_FLOWS
    assert not any(name in str(trigger.match_related) for name in suspendable)
    assert all(
        spec.flow.name in str(trigger.match_related) for spec in CATALOG if spec.flow.name not in suspendable
    )


def test_crash_automation_expects_any_state_or_heartbeat() -> None:
    from prefect.server.events.schemas.automations import EventTrigger as ServerEventTrigger

    [trigger] = [
        automation.trigger for automation in build_automations(None) if automation.name == MARK_CRASHED_RUNS
    ]
    server_trigger = ServerEventTrigger.model_validate(trigger.model_dump(mode="json"))
    assert server_trigger.starts_after("prefect.flow-run.heartbeat")
    states = {outcome.state_name for outcome in OUTCOMES.values()} | {"Completed", "Suspended", "ArgilUnauthorized"}
    for name in (*states, "heartbeat"):
        assert server_trigger.expects(f"prefect.flow-run.{name}")
        assert server_trigger.event_pattern.match(f"prefect.flow-run.{name}")
