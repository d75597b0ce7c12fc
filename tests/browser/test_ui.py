"""Prefect's UI in a real browser: its forms, and the pages of runs and artifacts."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import APIResponse, Locator, Page, Route, expect, sync_playwright

from models.image_request import ImageRequest
from models.request import ProvisioningRequest
from tests.chromium import BROWSER, FLAGS, needs_browser, resolver_flag
from tests.stack import WAIT_TIMEOUT_SECONDS, RunningStack, wait_for

SCREENSHOTS = os.environ.get("AVATARS_TEST_SCREENSHOTS")
"""The folder to write the screenshots of docs/operating.md to."""
ANALYTICS_URL = "https://sr-client-cfg.amplitude.com/config/"
"""Prefect 3.9.1's V2 requests this configuration even if analytics are disabled, but sends no events."""
OPERATING = (Path(__file__).parents[2] / "docs/operating.md").read_text()
PAGE = (256, 0, 944)
"""The part of a page to the right of the sidebar: x, y and width in pixels."""
ARTIFACT = (256, 180, 600)
"""The text of an artifact, without the header and the details to its right."""
SIGNED = "?X-Amz-Signature=canary-signature"

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(600), needs_browser]


class Ui:
    """Prefect's UI as a user operates it in a browser."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def open(self, path: str) -> None:
        self.page.goto(f"{self.url}/v2{path}")

    def open_deployment(self, flow: str, name: str) -> None:
        self.open("/deployments")
        self.page.get_by_role("row").filter(has_text=flow).get_by_role("link", name=name).click()
        self.page.get_by_role("button", name="Run", exact=True).click()

    def open_form(self, flow: str) -> None:
        self.open_deployment(flow, "on-demand")
        self.page.get_by_text("Custom run").click()
        expect(self.page.get_by_role("button", name="Submit")).to_be_visible()

    def field(self, label: str) -> Locator:
        """Return the innermost field with this label, which optional fields extend with '(Optional)'."""
        labels = self.page.locator("label").filter(has_text=re.compile(rf"^{label}( \(Optional\))?$"))
        return self.page.locator("div:has(> fieldset)").filter(has=labels).last

    def fill(self, texts: dict[str, str]) -> None:
        for label, text in texts.items():
            self.field(label).get_by_role("textbox").fill(text)

    def fill_json(self, label: str, value: object) -> None:
        """Fill the editor until it contains only this value; while it is loading it keeps its default as well."""
        editor = self.field(label).get_by_role("textbox")

        def fill_editor() -> bool | None:
            editor.fill(json.dumps(value))
            return editor.inner_text().strip() == json.dumps(value) or None

        wait_for(fill_editor, f"the editor of {label}")

    def submit(self) -> None:
        self.page.get_by_role("button", name="Submit").click()

    def create_run(self, click: Callable[[], None]) -> str:
        """Click the element that creates a run and return the run's id."""
        with self.page.expect_response("**/create_flow_run") as created:
            click()
        assert created.value.status == 201, created.value.text()
        run_id: str = created.value.json()["id"]
        return run_id

    def open_run(self, run_id: str) -> None:
        self.open(f"/runs/flow-run/{run_id}")

    def expect_header(self, name: str, state: str) -> None:
        """Expect the name of the run or flow and the name of its state above the tabs."""
        expect(self.page.get_by_label("breadcrumb").first).to_contain_text(name)
        expect(self.page.get_by_text(state, exact=True).first).to_be_visible()

    def open_tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).click()

    def open_filter(self, label: str) -> None:
        """Open the menu of the filter with this label on the page Runs."""
        self.page.get_by_text(label, exact=True).locator("xpath=following-sibling::*").click()

    def select(self, filter_label: str, *options: str) -> None:
        self.open_filter(filter_label)
        for option in options:
            self.page.get_by_role("menuitem", name=option, exact=True).click()
        self.page.keyboard.press("Escape")

    def expect_runs(self, *names: str) -> None:
        """Expect the page Runs to list exactly the runs with these names."""
        runs = self.page.locator("a[href*='/runs/flow-run/']")
        expect(runs).to_have_count(len(names))
        for name in names:
            expect(runs.get_by_text(name, exact=True)).to_be_visible()

    def open_artifact_of_run(self, key: str | re.Pattern[str]) -> None:
        self.open_tab("Artifacts")
        self.page.get_by_text(key).click()
        self.page.wait_for_url("**/artifacts/artifact/*")

    def expect_texts(self, *texts: str) -> None:
        """Expect these texts in the open tab."""
        for text in texts:
            expect(self.page.get_by_role("tabpanel")).to_contain_text(text)

    def expect_nothing_off_screen(self) -> None:
        """Expect that no text of the artifact lies outside of its panel or of the window, on two screens."""
        for width, height in ((1440, 900), (1280, 800)):
            self.page.set_viewport_size({"width": width, "height": height})
            hidden = self.page.get_by_role("tabpanel").evaluate(
                """panel => [...panel.querySelectorAll('*')]
                    .filter(e => e.getBoundingClientRect().right > Math.min(innerWidth,
                        panel.getBoundingClientRect().right) + 1 || e.scrollWidth > e.clientWidth + 1
                        && getComputedStyle(e).display !== 'inline')
                    .map(e => e.outerHTML.slice(0, 200))"""
            )
            assert hidden == [], (width, hidden)
        self.page.set_viewport_size({"width": 1200, "height": 1200})

    def screenshot(self, name: str, height: int, part: tuple[int, int, int] = PAGE) -> None:
        """Save a screenshot once two in a row are identical."""
        if SCREENSHOTS is None:
            return
        x, y, width = part
        screenshots = [b""]

        def stable_screenshot() -> bytes | None:
            screenshots.append(self.page.screenshot(clip={"x": x, "y": y, "width": width, "height": height}))
            return screenshots[-1] if screenshots[-1] == screenshots[-2] else None

        image = wait_for(stable_screenshot, "the page to stop changing")
        Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
        few_colors = Image.open(io.BytesIO(image)).convert("RGB").quantize(64)  # a third of the size
        few_colors.save(Path(SCREENSHOTS) / f"{name}.png", optimize=True)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with RunningStack(tmp_path_factory.mktemp("up")) as running:
        yield running


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
            executable_path=BROWSER, args=[*FLAGS, resolver_flag()], timeout=WAIT_TIMEOUT_SECONDS * 1000
        )
        page = browser.new_page(viewport={"width": 1200, "height": 1200})
        page.set_default_timeout(WAIT_TIMEOUT_SECONDS * 1000)
        page.on("request", lambda request: requested_urls.append(request.url))
        page.route("**/create_flow_run", retry_while_busy)
        yield Ui(page, up.printed(r"^Prefect UI +(\S+)"))
        browser.close()
    local = ("http://127.0.0.1:", "data:", "blob:", ANALYTICS_URL)
    assert [url for url in requested_urls if not url.startswith(local)] == []


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
    ui.screenshot("form", height=915)
    ada = ui.create_run(ui.submit)
    wait_for(lambda: "Suspended" in [state["name"] for state in up.api.states(ada)] or None, "Ada's training")
    ui.open_form("provision-avatar")
    ui.fill({"Name": "Eve", "Dataset video": up.dataset + SIGNED, "Consent video": up.consent + SIGNED})
    ui.fill_json("Extras", {"simulator": "refuse"})
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
    expect(ui.page.get_by_text("does not match '^(https|s3|gs|az)://'").first).to_be_visible()
    assert "Joan" not in [run["parameters"]["request"]["name"] for run in up.api.runs_of("provision-avatar")]


def test_ready_run_shows_its_facts_in_the_artifact(up: RunningStack, ui: Ui, runs: dict[str, str]) -> None:
    up.api.wait_for_final_state(runs["Ada"])
    ui.open_run(runs["Ada"])
    ui.expect_header("Ada Lovelace", "Ready")
    ui.screenshot("run-ready", height=562)
    avatar = up.avatars("show", runs["Ada"])
    ui.open_artifact_of_run(f"avatar-ada-lovelace-{avatar['id'][:8]}")
    ui.expect_texts(
        "Ada Lovelace: READY", avatar["avatar_id"], "1280 x 720 pixels", "What to do next", "Argil reports IDLE"
    )
    ui.expect_nothing_off_screen()
    ui.screenshot("artifact-ready", height=605, part=ARTIFACT)


def test_refused_run_shows_its_subflow_and_no_signature(up: RunningStack, ui: Ui, runs: dict[str, str]) -> None:
    up.api.wait_for_final_state(runs["Eve"])
    ui.open_run(runs["Eve"])
    ui.expect_header("Eve", "Refused")
    ui.screenshot("run-refused", height=562)
    ui.expect_texts("Finished in state Refused")
    expect(ui.page.locator("body")).not_to_contain_text("canary")
    ui.open_tab("Subflow Runs")
    expect(ui.page.get_by_role("tabpanel").get_by_role("link", name="refused", exact=True)).to_be_visible()
    ui.open_artifact_of_run(re.compile("^avatar-"))
    ui.expect_texts(
        "Eve: REFUSED",
        "release-recordings/on-demand",
        "moderation refused the avatar",
        "Its recordings are quarantined",
    )
    expect(ui.page.get_by_role("tabpanel")).not_to_contain_text("`", use_inner_text=True)
    ui.expect_nothing_off_screen()
    expect(ui.page.locator("body")).not_to_contain_text("canary")
    ui.screenshot("artifact-refused", height=735, part=ARTIFACT)


def test_documented_filters_find_the_runs(up: RunningStack, ui: Ui, runs: dict[str, str]) -> None:
    assert up.api.wait_for_final_state(runs["Ada"])["name"] == "Ready"
    assert up.api.wait_for_final_state(runs["Eve"])["name"] == "Refused"
    ui.page.goto(ui.url)
    ui.page.wait_for_url("**/v2/dashboard**")
    ui.page.get_by_role("link", name="Runs", exact=True).click()
    ui.select("State names", "Ready")
    ui.expect_runs("Ada Lovelace")
    ui.select("State names", "Ready", "Refused")
    ui.expect_runs("Eve")
    ui.open("/runs")
    ui.select("State types", "Failed", "Crashed")
    ui.expect_runs("Eve")
    ui.screenshot("needs-a-person", height=810)
    ui.open_filter("State names")
    ui.page.get_by_label("Search state names").fill("re")
    for name in ("Ready", "Refused"):
        expect(ui.page.get_by_role("menuitem", name=name, exact=True)).to_be_visible()


def test_documented_saved_filter_can_be_selected(up: RunningStack, ui: Ui, runs: dict[str, str]) -> None:
    up.api.wait_for_final_state(runs["Eve"])
    ui.open("/runs")
    ui.select("State types", "Failed", "Crashed")
    ui.page.get_by_role("button", name="Unsaved").click()
    ui.page.get_by_role("menuitem", name="Save current filters").click()
    ui.page.get_by_label("Filter Name").fill("Needs a person")
    ui.page.get_by_role("button", name="Save", exact=True).click()
    ui.open("/runs")
    ui.page.get_by_role("button", name="Past week").click()
    ui.page.get_by_role("menuitem", name="Needs a person").click()
    ui.expect_runs("Eve")


def test_documented_addresses_find_the_runs(up: RunningStack, ui: Ui, runs: dict[str, str]) -> None:
    up.api.wait_for_final_state(runs["Ada"])
    up.api.wait_for_final_state(runs["Eve"])
    expected = {
        "/v2/runs?state=Ready": ["Ada Lovelace"],
        "/v2/runs?state=Ready&state=Refused": ["Ada Lovelace", "Eve"],
        "/v2/runs?state-types=FAILED&state-types=CRASHED": ["Eve"],
    }
    assert re.findall(r"`(/v2/runs\?[^`]+)`", OPERATING) == list(expected)
    for address, names in expected.items():
        ui.page.goto(ui.url + address)
        ui.expect_runs(*names)


def test_deployment_lists_runs_with_custom_state_names(up: RunningStack, ui: Ui, runs: dict[str, str]) -> None:
    up.api.wait_for_final_state(runs["Ada"])
    up.api.wait_for_final_state(runs["Eve"])
    ui.open(f"/deployments/deployment/{up.api.deployment('provision-avatar/on-demand')}")
    for name in ("Ada Lovelace", "Eve"):
        expect(ui.page.get_by_role("tabpanel").get_by_role("link", name=name, exact=True)).to_be_visible()


def test_fleet_report_lists_what_needs_a_person(up: RunningStack, ui: Ui, runs: dict[str, str]) -> None:
    up.api.wait_for_final_state(runs["Eve"])
    ui.open_deployment("fleet-report", "scheduled")
    report = ui.create_run(ui.page.get_by_text("Quick run").click)
    assert up.api.wait_for_final_state(report)["type"] == "COMPLETED"
    assert "`/v2/artifacts/key/avatar-fleet`" in OPERATING
    ui.open("/artifacts/key/avatar-fleet")
    ui.page.locator("a[href*='/artifacts/artifact/']").first.click()
    ui.expect_texts("Needs attention", "REFUSED", "Eve", "In flight")
    ui.expect_nothing_off_screen()
    link = ui.page.get_by_role("tabpanel").get_by_role("link", name="Eve", exact=True)
    assert up.api.call(
        "GET", str(link.get_attribute("href")).replace("/v2/artifacts/artifact", "/artifacts")
    ).json()
    ui.screenshot("fleet", height=705, part=ARTIFACT)


def test_fleet_report_is_published_at_the_start(up: RunningStack, ui: Ui) -> None:
    body = {"artifacts": {"key": {"any_": ["avatar-fleet"]}}, "sort": "CREATED_DESC"}
    first = up.api.call("POST", "/artifacts/filter", body).json()[-1]
    assert (first["flow_run_id"], first["description"]) == (None, "no avatars yet")


def test_release_form_lifts_the_quarantine(up: RunningStack, ui: Ui, runs: dict[str, str]) -> None:
    up.api.wait_for_final_state(runs["Eve"])
    ui.open_form("release-recordings")
    ui.fill({"provisioning_id": runs["Eve"], "reason": "reviewed by Grace"})
    run_id = ui.create_run(ui.submit)
    up.api.wait_for_final_state(run_id)
    ui.open_run(run_id)
    ui.expect_header("release ", "Completed")
    ui.open_tab("Details")
    ui.expect_texts("2 recordings released: reviewed by Grace")


def test_batch_form_says_what_a_manifest_may_be(ui: Ui) -> None:
    ui.open_form("provision-batch")
    for text in (".xlsx", ".ods", "CSV", "JSONL", "YAML", "Google Sheets", "s3://", "AVATARS_MANIFEST_DIR"):
        expect(ui.field("manifest")).to_contain_text(text)
    for text in ("Ada Lovelace", "dataset_video", "consent_video"):
        expect(ui.field("rows")).to_contain_text(text)


def test_batch_form_without_one_source_creates_no_run(up: RunningStack, ui: Ui) -> None:
    ui.open_form("provision-batch")
    ui.submit()
    expect(ui.field("rows")).to_contain_text("'rows' is a required property")
    ui.fill({"manifest": "https://127.0.0.1/creators.csv"})
    ui.field("rows").get_by_role("button", name="Add item").click()
    ui.fill({"rows": '{"name": "Ada Lovelace"}'})
    ui.submit()
    expect(ui.field("rows")).to_contain_text("[{'name': 'Ada Lovelace'}] is not of type 'null'")
    assert up.api.runs_of("provision-batch") == []


def test_image_form_describes_its_fields(up: RunningStack, ui: Ui) -> None:
    ui.open_form("provision-image-avatar")
    for field in ImageRequest.model_fields.values():
        assert field.title
        assert field.description
        expect(ui.field(field.title)).to_contain_text(field.description)
    ui.fill({"Name": "Grace", "Image": "http://127.0.0.1/grace.png"})
    ui.submit()
    expect(ui.page.get_by_text("does not match '^(https|s3|gs|az)://'").first).to_be_visible()
    assert up.api.runs_of("provision-image-avatar") == []


def test_image_form_leads_to_a_ready_avatar_with_its_voice(up: RunningStack, ui: Ui, runs: dict[str, str]) -> None:
    """Eve's refusal has the consent video in quarantine, so that it is released first."""
    up.api.wait_for_final_state(runs["Eve"])
    released = up.api.create_run(
        "release-recordings/on-demand", {"provisioning_id": runs["Eve"], "reason": "the same sample"}
    )
    up.api.wait_for_final_state(released.json()["id"])
    ui.open_form("provision-image-avatar")
    ui.fill(
        {
            "Name": "Grace Hopper",
            "Image": up.image,
            "Consent video": up.consent,
            "Voice sample": up.voice_sample,
            "Reference": "grace",
        }
    )
    ui.screenshot("image-form", height=915)
    run_id = ui.create_run(ui.submit)
    assert up.api.wait_for_final_state(run_id)["name"] == "Ready"
    ui.open_run(run_id)
    ui.expect_header("Grace Hopper", "Ready")
    avatar = up.avatars("show", "grace")
    assert (avatar["kind"], avatar["voice_source"]) == ("image", "given")
    ui.open_artifact_of_run(re.compile("^avatar-"))
    ui.expect_texts("Grace Hopper: READY", avatar["avatar_id"], avatar["voice_id"], "PNG, 1280x720", "2 credits")
    ui.expect_nothing_off_screen()
