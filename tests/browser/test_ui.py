"""Prefect's UI in a real browser: its forms, and the pages of runs and artifacts."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import APIResponse, Locator, Page, Route, expect, sync_playwright

from models.request import ProvisioningRequest
from tests.stack import WAIT_TIMEOUT_SECONDS, RunningStack, wait_for

BROWSER = os.environ.get("AVATARS_TEST_BROWSER")
SCREENSHOTS = os.environ.get("AVATARS_TEST_SCREENSHOTS")
"""The folder to write the screenshots of docs/operating.md to."""
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
NO_BACKGROUND_CSS = ".app-router-view {background-image: none !important}"
OPERATING = (Path(__file__).parents[2] / "docs/operating.md").read_text()
SIGNED = "?X-Amz-Signature=canary-signature"

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        BROWSER is None, reason="AVATARS_TEST_BROWSER is not set; .ci/run installs Chromium with apt-get"
    ),
]


class Ui:
    """Prefect's UI as a user operates it in a browser."""

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
        """Return the innermost field with this label, which optional fields extend with '(Optional)'."""
        labels = self.page.get_by_text(re.compile(rf"^{label}( \(Optional\))?$"))
        return self.page.locator(".schema-form-property").filter(has=labels).last

    def fill(self, texts: dict[str, str]) -> None:
        for label, text in texts.items():
            self.field(label).get_by_role("textbox").fill(text)

    def submit(self) -> None:
        self.page.get_by_role("button", name="Submit").click()

    def create_run(self, click: Callable[[], None]) -> str:
        """Click the element that creates a run and return the run's id."""
        with self.page.expect_response("**/create_flow_run") as created:
            click()
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
        """Expect these texts in the open tab."""
        for text in texts:
            expect(self.page.get_by_role("tabpanel")).to_contain_text(text)

    def screenshot(self, name: str, height: int) -> None:
        """Save a screenshot once two in a row are identical."""
        if SCREENSHOTS is None:
            return
        screenshots = [b""]

        def stable_screenshot() -> bytes | None:
            screenshots.append(
                self.page.screenshot(
                    style=NO_BACKGROUND_CSS, clip={"x": 256, "y": 0, "width": 944, "height": height}
                )
            )
            return screenshots[-1] if screenshots[-1] == screenshots[-2] else None

        image = wait_for(stable_screenshot, "the page to stop changing")
        Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
        (Path(SCREENSHOTS) / f"{name}.png").write_bytes(image)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    running = RunningStack(tmp_path_factory.mktemp("up"))
    yield running
    running.stop()


def retry_while_busy(route: Route) -> None:
    """Repeat the request while the server returns 503, as a user who clicks Submit again."""

    def response_unless_busy() -> APIResponse | None:
        response = route.fetch()
        return None if response.status == 503 else response

    route.fulfill(response=wait_for(response_unless_busy, "a response other than 503"))


@pytest.fixture(scope="module")
def ui(up: RunningStack) -> Iterator[Ui]:
    requested_urls: list[str] = []
    expect.set_options(timeout=WAIT_TIMEOUT_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER, args=FLAGS, timeout=WAIT_TIMEOUT_SECONDS * 1000
        )
        page = browser.new_page(viewport={"width": 1200, "height": 1200})
        page.set_default_timeout(WAIT_TIMEOUT_SECONDS * 1000)
        page.on("request", lambda request: requested_urls.append(request.url))
        page.route("**/create_flow_run", retry_while_busy)
        yield Ui(page, up.printed(r"^Prefect UI +(\S+)"))
        browser.close()
    assert [url for url in requested_urls if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))] == []


@pytest.fixture(scope="module", autouse=True)
def runs(up: RunningStack, ui: Ui) -> dict[str, str]:
    """Start two runs with the form and return their ids by avatar name.

    The runs continue during the other tests. Eve's refusal quarantines the videos, so Ada's run must have checked
    them before. The schedule of provision-pending is paused. Otherwise it could submit a request that a run has
    just recorded, and the refused subflow would belong to its run.
    """
    pending = up.api.deployment("provision-pending/scheduled")
    assert up.api.call("PATCH", f"/deployments/{pending}", {"paused": True}).status_code == 204
    ui.open_form("provision-avatar")
    ui.fill({"Name": "Ada Lovelace", "Dataset video": up.dataset, "Consent video": up.consent})
    ui.screenshot("form", height=1140)
    ada = ui.create_run(ui.submit)
    wait_for(lambda: "Suspended" in [state["name"] for state in up.api.states(ada)] or None, "Ada's training")
    ui.open_form("provision-avatar")
    ui.fill({"Name": "Eve", "Dataset video": up.dataset + SIGNED, "Consent video": up.consent + SIGNED})
    ui.fill({"Extras": json.dumps({"simulator": "refuse"})})
    return {"Ada": ada, "Eve": ui.create_run(ui.submit)}


def test_form_describes_fields_and_names_missing_ones(ui: Ui) -> None:
    ui.open_form("provision-avatar")
    for field in ProvisioningRequest.model_fields.values():
        assert field.title
        assert field.description
        expect(ui.field(field.title)).to_contain_text(field.description)
    expect(ui.field("wait")).to_contain_text("suspend: it suspends itself, needs no process")
    ui.fill({"Name": "Ada"})
    ui.fill({"Name": ""})
    ui.submit()
    for label, name in {"Name": "name", "Dataset video": "dataset_video", "Consent video": "consent_video"}.items():
        expect(ui.field(label)).to_contain_text(f"'{name}' is a required property")


def test_form_rejects_a_url_without_tls(up: RunningStack, ui: Ui) -> None:
    ui.open_form("provision-avatar")
    ui.fill({"Name": "Joan", "Dataset video": "http://127.0.0.1/joan.mp4", "Consent video": up.consent})
    ui.submit()
    expect(ui.page.get_by_text("does not match '^https://'").first).to_be_visible()
    assert "Joan" not in [run["parameters"]["request"]["name"] for run in up.api.runs_of("provision-avatar")]


def test_ready_run_shows_its_facts_in_the_artifact(up: RunningStack, ui: Ui, runs: dict[str, str]) -> None:
    up.api.wait_for_final_state(runs["Ada"])
    ui.open_run(runs["Ada"])
    ui.expect_state("Ready")
    expect(ui.page.get_by_role("banner")).to_contain_text("Ada Lovelace")
    ui.screenshot("run-ready", height=580)
    avatar = up.avatars("show", runs["Ada"])
    ui.open_artifact_of_run(f"avatar-{avatar['id']}")
    ui.expect_texts(
        "Ada Lovelace: READY", avatar["avatar_id"], "1920 x 1080", "What to do next", "Argil reports IDLE"
    )
    ui.screenshot("artifact-ready", height=850)


def test_refused_run_shows_its_subflow_and_no_signature(up: RunningStack, ui: Ui, runs: dict[str, str]) -> None:
    up.api.wait_for_final_state(runs["Eve"])
    ui.open_run(runs["Eve"])
    ui.expect_state("Refused")
    ui.screenshot("run-refused", height=580)
    ui.expect_texts("Finished in state Refused")
    expect(ui.page.locator("body")).not_to_contain_text("canary")
    ui.open_tab("Subflow Runs")
    expect(ui.page.get_by_role("tabpanel").get_by_role("link", name="refused", exact=True)).to_be_visible()
    ui.open_artifact_of_run(re.compile("^avatar-"))
    ui.expect_texts(
        "Eve: REFUSED", "avatar.refused", "moderation refused the avatar", "Both videos are quarantined"
    )
    expect(ui.page.locator("body")).not_to_contain_text("canary")
    ui.screenshot("artifact-refused", height=740)


def test_documented_ui_addresses_find_the_runs(up: RunningStack, ui: Ui, runs: dict[str, str]) -> None:
    addresses = re.findall(r"`(/runs\?state=[^`]+)`", OPERATING)
    for run_id, outcome, name, other_name in (
        (runs["Ada"], "Ready", "Ada Lovelace", "Eve"),
        (runs["Eve"], "Refused", "Eve", "Ada Lovelace"),
    ):
        assert up.api.wait_for_final_state(run_id)["name"] == outcome
        [address] = [address for address in addresses if f"state={outcome}" in address]
        ui.page.goto(ui.url + address)
        expect(ui.page.get_by_role("link", name=name, exact=True)).to_be_visible()
        expect(ui.page.get_by_role("link", name=other_name, exact=True)).to_have_count(0)


def test_fleet_report_lists_what_needs_a_person(up: RunningStack, ui: Ui, runs: dict[str, str]) -> None:
    up.api.wait_for_final_state(runs["Eve"])
    ui.open_deployment("fleet-report", "scheduled")
    report = ui.create_run(ui.page.get_by_text("Quick run").click)
    assert up.api.wait_for_final_state(report)["type"] == "COMPLETED"
    assert "/artifacts/key/avatar-fleet" in OPERATING
    ui.page.goto(f"{ui.url}/artifacts/key/avatar-fleet")
    ui.page.locator("a[href*='/artifacts/artifact/']").first.click()
    ui.expect_texts("Needs attention", "REFUSED", "Eve", "In flight")
    ui.screenshot("fleet", height=640)


def test_release_form_lifts_the_quarantine(up: RunningStack, ui: Ui, runs: dict[str, str]) -> None:
    up.api.wait_for_final_state(runs["Eve"])
    ui.open_form("release-recordings")
    ui.fill({"provisioning_id": runs["Eve"], "reason": "reviewed by Grace"})
    run_id = ui.create_run(ui.submit)
    up.api.wait_for_final_state(run_id)
    ui.open_run(run_id)
    ui.expect_state("Completed")
    ui.expect_texts("2 videos released: reviewed by Grace")
