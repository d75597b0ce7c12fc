"""Prefect's UI in a real browser: what its forms ask, and what a run and its artifacts show to a person."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, Locator, Page, Route, expect, sync_playwright

from models.request import ProvisioningRequest
from tests.stack import PATIENCE_SECONDS, Up, until

BROWSER = os.environ.get("AVATARS_TEST_BROWSER")
PICTURES = os.environ.get("AVATARS_TEST_SCREENSHOTS")
"""The folder that gets the pictures of docs/operating.md."""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
PLAIN = ".app-router-view {background-image: none !important}"
OPERATING = (Path(__file__).parents[2] / "docs/operating.md").read_text()
SIGNED = "?X-Amz-Signature=canary-signature"

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        BROWSER is None, reason="AVATARS_TEST_BROWSER names no Chromium; .ci/run installs one by apt-get"
    ),
]


class Ui:
    """Prefect's UI as a person at a browser has it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def open_deployment(self, flow: str, name: str) -> None:
        self.page.goto(f"{self.url}/deployments")
        self.page.get_by_role("row").filter(has_text=flow).get_by_role("link", name=name).click()
        self.page.get_by_role("button", name="Run", exact=True).click()

    def open_form(self, flow: str) -> None:
        self.open_deployment(flow, "on-demand")
        self.page.get_by_text("Custom run").click()
        expect(self.page.get_by_role("button", name="Submit")).to_be_visible()

    def field(self, label: str) -> Locator:
        """The innermost field with this label; an optional one says so in its label."""
        labels = self.page.get_by_text(re.compile(rf"^{label}( \(Optional\))?$"))
        return self.page.locator(".schema-form-property").filter(has=labels).last

    def fill(self, texts: dict[str, str]) -> None:
        for label, text in texts.items():
            self.field(label).get_by_role("textbox").fill(text)

    def submit(self) -> None:
        self.page.get_by_role("button", name="Submit").click()

    def id_of_run(self, press: Callable[[], None]) -> str:
        """Press what makes a run and return its id."""
        with self.page.expect_response("**/create_flow_run") as created:
            press()
        run_id: str = created.value.json()["id"]
        return run_id

    def open_run(self, run_id: str) -> None:
        self.page.goto(f"{self.url}/runs/flow-run/{run_id}")

    def expect_state(self, name: str) -> None:
        expect(self.page.get_by_role("banner").get_by_text(name, exact=True)).to_be_visible()

    def open_tab(self, name: str) -> None:
        self.page.get_by_role("tablist").get_by_text(name, exact=True).click()

    def open_artifact_of_run(self, key: str | re.Pattern[str]) -> None:
        self.open_tab("Artifacts")
        self.page.get_by_text(key).click()
        self.page.wait_for_url("**/artifacts/artifact/*")

    def expect_texts(self, *texts: str) -> None:
        """What the open tab shows."""
        for text in texts:
            expect(self.page.get_by_role("tabpanel")).to_contain_text(text)

    def picture(self, name: str, height: int) -> None:
        """Keep what the page shows, once nothing in it moves."""
        if PICTURES is None:
            return
        shots = [b""]

        def still() -> bytes | None:
            shots.append(self.page.screenshot(style=PLAIN, clip={"x": 256, "y": 0, "width": 944, "height": height}))
            return shots[-1] if shots[-1] == shots[-2] else None

        taken = until(still, "the page to stand still")
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        (Path(PICTURES) / f"{name}.png").write_bytes(taken)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = Up(tmp_path_factory.mktemp("up"))
    yield running
    running.end()


def again_where_busy(route: Route) -> None:
    """While its database is busy the server answers 503: a person presses Submit again."""

    def asked() -> APIResponse | None:
        response = route.fetch()
        return None if response.status == 503 else response

    route.fulfill(response=until(asked, "an answer other than 503"))


@pytest.fixture(scope="module")
def ui(up: Up) -> Iterator[Ui]:
    asked: list[str] = []
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS, timeout=PATIENCE_SECONDS * 1000)
        page = browser.new_page(viewport={"width": 1200, "height": 1200})
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        page.on("request", lambda request: asked.append(request.url))
        page.route("**/create_flow_run", again_where_busy)
        yield Ui(page, up.printed(r"^Prefect UI +(\S+)"))
        browser.close()
    assert [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))] == []


@pytest.fixture(scope="module", autouse=True)
def runs(up: Up, ui: Ui) -> dict[str, str]:
    """Two runs started by the form, by the names of their avatars; they go on while other tests look elsewhere.

    Eve's refusal quarantines the videos: Ada's are checked before. The schedule of provision-pending is paused: it
    may take up what a run has just recorded, and the branch would be its own.
    """
    pending = up.api.deployment("provision-pending/scheduled")
    assert up.api.call("PATCH", f"/deployments/{pending}", {"paused": True}).status_code == 204
    ui.open_form("provision-avatar")
    ui.fill({"Name": "Ada Lovelace", "Dataset video": up.dataset, "Consent video": up.consent})
    ui.picture("form", height=1140)
    ada = ui.id_of_run(ui.submit)
    until(lambda: "Suspended" in [state["name"] for state in up.api.states(ada)] or None, "Ada's training")
    ui.open_form("provision-avatar")
    ui.fill({"Name": "Eve", "Dataset video": up.dataset + SIGNED, "Consent video": up.consent + SIGNED})
    ui.fill({"Extras": json.dumps({"simulator": "refuse"})})
    return {"Ada": ada, "Eve": ui.id_of_run(ui.submit)}


def test_the_form_tells_what_each_field_wants_and_names_those_missing(ui: Ui) -> None:
    ui.open_form("provision-avatar")
    for field in ProvisioningRequest.model_fields.values():
        assert field.title
        assert field.description
        expect(ui.field(field.title)).to_contain_text(field.description)
    expect(ui.field("wait")).to_contain_text("suspend: the run sleeps without a process")
    ui.fill({"Name": "Ada"})
    ui.fill({"Name": ""})
    ui.submit()
    for label, name in {"Name": "name", "Dataset video": "dataset_video", "Consent video": "consent_video"}.items():
        expect(ui.field(label)).to_contain_text(f"'{name}' is a required property")


def test_a_url_without_tls_is_refused_with_the_rule_and_no_run_exists(up: Up, ui: Ui) -> None:
    ui.open_form("provision-avatar")
    ui.fill({"Name": "Joan", "Dataset video": "http://127.0.0.1/joan.mp4", "Consent video": up.consent})
    ui.submit()
    expect(ui.page.get_by_text("does not match '^https://'").first).to_be_visible()
    assert "Joan" not in [run["parameters"]["request"]["name"] for run in up.api.runs_of("provision-avatar")]


def test_a_run_ends_ready_and_its_artifact_tells_the_facts(up: Up, ui: Ui, runs: dict[str, str]) -> None:
    up.api.end_of(runs["Ada"])
    ui.open_run(runs["Ada"])
    ui.expect_state("Ready")
    expect(ui.page.get_by_role("banner")).to_contain_text("Ada Lovelace")
    ui.picture("run-ready", height=580)
    avatar = up.avatars("show", runs["Ada"])
    ui.open_artifact_of_run(f"avatar-{avatar['id']}")
    ui.expect_texts("Ada Lovelace: READY", avatar["avatar_id"], "1920 x 1080", "What to do next", "Argil says IDLE")
    ui.picture("artifact-ready", height=850)


def test_a_refused_one_shows_its_branch_and_why_and_no_signature(up: Up, ui: Ui, runs: dict[str, str]) -> None:
    up.api.end_of(runs["Eve"])
    ui.open_run(runs["Eve"])
    ui.expect_state("Refused")
    ui.picture("run-refused", height=580)
    ui.expect_texts("Finished in state Refused")
    expect(ui.page.locator("body")).not_to_contain_text("canary")
    ui.open_tab("Subflow Runs")
    expect(ui.page.get_by_role("tabpanel").get_by_role("link", name="refused", exact=True)).to_be_visible()
    ui.open_artifact_of_run(re.compile("^avatar-"))
    ui.expect_texts(
        "Eve: REFUSED", "avatar.refused", "moderation refused the avatar", "Both videos are quarantined"
    )
    expect(ui.page.locator("body")).not_to_contain_text("canary")
    ui.picture("artifact-refused", height=740)


def test_runs_are_found_at_the_addresses_that_the_docs_tell(up: Up, ui: Ui, runs: dict[str, str]) -> None:
    addresses = re.findall(r"`(/runs\?state=[^`]+)`", OPERATING)
    for run, outcome, name, other in (
        (runs["Ada"], "Ready", "Ada Lovelace", "Eve"),
        (runs["Eve"], "Refused", "Eve", "Ada Lovelace"),
    ):
        assert up.api.end_of(run)["name"] == outcome
        [address] = [address for address in addresses if f"state={outcome}" in address]
        ui.page.goto(ui.url + address)
        expect(ui.page.get_by_role("link", name=name, exact=True)).to_be_visible()
        expect(ui.page.get_by_role("link", name=other, exact=True)).to_have_count(0)


def test_the_fleet_report_tells_what_needs_a_person(up: Up, ui: Ui, runs: dict[str, str]) -> None:
    up.api.end_of(runs["Eve"])
    ui.open_deployment("fleet-report", "scheduled")
    report = ui.id_of_run(ui.page.get_by_text("Quick run").click)
    assert up.api.end_of(report)["type"] == "COMPLETED"
    assert "/artifacts/key/avatar-fleet" in OPERATING
    ui.page.goto(f"{ui.url}/artifacts/key/avatar-fleet")
    ui.page.locator("a[href*='/artifacts/artifact/']").first.click()
    ui.expect_texts("Needs a person", "REFUSED", "Eve", "In flight")
    ui.picture("fleet", height=640)


def test_a_person_releases_the_recordings(up: Up, ui: Ui, runs: dict[str, str]) -> None:
    up.api.end_of(runs["Eve"])
    ui.open_form("release-recordings")
    ui.fill({"provisioning_id": runs["Eve"], "why": "seen by Grace"})
    run_id = ui.id_of_run(ui.submit)
    up.api.end_of(run_id)
    ui.open_run(run_id)
    ui.expect_state("Completed")
    ui.expect_texts("2 videos released: seen by Grace")
