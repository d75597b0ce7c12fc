"""Prefect's two UIs show a hostile name as text: nothing is loaded, and no element is added to the page."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect, sync_playwright
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate

from flows.engine.batch_artifacts import table_of_rows
from flows.fleet_report import fleet_report
from models.batch import BatchProgress
from models.manifest.validation import ManifestRow
from models.provisioning import Provisioning, Status
from models.reason import Reason
from models.reports.fleet_report import render_fleet_report
from models.reports.markdown_reports import describe_provisioning, render_provisioning_report
from services.runs.outcome_states import final_state_for
from tests.chromium import BROWSER, FLAGS, needs_browser
from tests.models.reports.test_markdown_reports import AT, event, provisioning
from tests.stack import WAIT_TIMEOUT_SECONDS

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.timeout(600),
    needs_browser,
]


@pytest.fixture
def pixel() -> Iterator[str]:
    """The URL of an image on loopback, which no client may request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/t.png"
        with pytest.raises(BlockingIOError):
            listener.accept()


async def publish(hostile: Provisioning) -> list[str]:
    """Publish the run, its artifacts and a fleet report; return the paths of the pages that show them."""
    row = ManifestRow(1, hostile.reference, hostile.name, problems=hostile.reasons)
    artifacts = [
        ArtifactCreate(
            key="avatar-hostile",
            type="markdown",
            data=render_provisioning_report(hostile, [event(hostile.name)]),
            description=describe_provisioning(hostile),
        ),
        ArtifactCreate(
            key="batch-hostile", type="table", data=json.dumps(table_of_rows(BatchProgress([row], started_at=0.0)))
        ),
        ArtifactCreate(
            key="fleet-hostile", type="markdown", data=render_fleet_report({}, {Status.REJECTED: [hostile]}, AT)
        ),
    ]
    async with get_client() as client:
        run = await client.create_flow_run(fleet_report, name=hostile.name, state=final_state_for(hostile))
        ids = [(await client.create_artifact(artifact)).id for artifact in artifacts]
    pages = [f"/v2/runs/flow-run/{run.id}", "/v2/artifacts/key/avatar-hostile"]
    return pages + [f"{ui}/artifacts/artifact/{artifact}" for artifact in ids for ui in ("/v2", "")]


def test_hostile_name_loads_nothing_and_adds_no_element(prefect_api_url: str, pixel: str) -> None:
    name = f"![t]({pixel}) <img src={pixel} onerror=alert(1)> <b id=injected>Mallory</b> [x](javascript:alert(1))"
    reason = Reason(code="row.name", message=name, hint=name)
    hostile = provisioning(Status.REJECTED, name=name, reference=name, avatar_id=name, reasons=[reason])
    pages = asyncio.run(publish(hostile))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.fspath(BROWSER or ""), args=FLAGS, timeout=WAIT_TIMEOUT_SECONDS * 1000
        )
        page = browser.new_page()
        for path in pages:
            page.goto(prefect_api_url.removesuffix("/api") + path, timeout=WAIT_TIMEOUT_SECONDS * 1000)
            expect(page.get_by_text("Mallory").first).to_be_visible(timeout=WAIT_TIMEOUT_SECONDS * 1000)
            added = page.locator(f"img[src*='{pixel}'], #injected, #user-content-injected, a[href^=javascript]")
            assert added.count() == 0, path
        browser.close()
