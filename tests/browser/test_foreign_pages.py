"""What a web page of another origin can do to the Prefect server, tried in a real browser."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.chromium import BROWSER, FLAGS, needs_browser, resolver_flag
from tests.stack import WAIT_TIMEOUT_SECONDS, wait_for

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(600), needs_browser]

REBOUND_HOST = "evil.example"
NO_OWN_DEFENCE = "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests"
"""Chromium's own checks, which other browsers lack, would refuse the rebound page first."""
ATTACK = """async ([origin, deployment, event]) => {
  const api = `${origin}/api`, createRun = `${api}/deployments/${deployment}/create_flow_run`;
  const run = (name) => new Blob([JSON.stringify({name})]);
  const outcome = (response) => response.then((r) => r.type === "opaque" ? "sent" : r.status, () => "blocked");
  const post = (url, options) => outcome(fetch(url, {method: "POST", ...options}));
  const open = (path, message) => new Promise((resolve) => {
    const socket = new WebSocket(origin.replace("http", "ws") + path);
    socket.onopen = () => { socket.send(JSON.stringify(message)); resolve("open"); };
    socket.onerror = () => resolve("blocked");
  });
  const loaded = (element, source) => new Promise((resolve) => {
    element.onload = () => resolve("loaded");
    element.onerror = () => resolve("blocked");
    document.body.append(element);
    if (source) element.src = source;
  });
  const submit = () => {
    const frame = Object.assign(document.createElement("iframe"), {name: "target"});
    const form = Object.assign(document.createElement("form"), {method: "POST", action: createRun});
    form.target = frame.name;
    const input = Object.assign(document.createElement("input"), {name: '{"name": "form', value: '"}'});
    form.enctype = "text/plain";
    form.append(input);
    document.body.append(form);
    const done = loaded(frame);
    form.submit();
    return done;
  };
  return {
    read: await post(`${api}/flows/filter`, {headers: {"content-type": "application/json"}, body: "{}"}),
    readWithoutPreflight: await outcome(fetch(`${api}/version`)),
    image: await loaded(new Image(), `${origin}/v2/completed.svg`),
    blob: await post(createRun, {mode: "no-cors", body: run("blob")}),
    pause: await post(`${api}/deployments/${deployment}/pause_deployment`, {mode: "no-cors"}),
    beacon: navigator.sendBeacon(createRun, run("beacon")),
    form: await submit(),
    events: await open("/api/events/in", event),
    listener: await open("/api/events/out", {type: "filter", filter: {}}),
    logs: await open("/api/logs/out", {type: "filter", filter: {}}),
  };
}"""


@dataclass
class Server:
    """A Prefect server with one deployment."""

    origin: str
    deployment: str

    @property
    def url(self) -> str:
        return f"{self.origin}/api/deployments/{self.deployment}"

    def run_names(self) -> set[str]:
        body = {"deployments": {"id": {"any_": [self.deployment]}}}
        runs = httpx.post(f"{self.origin}/api/flow_runs/filter", json=body, timeout=100).json()
        return {run["name"] for run in runs}

    def is_paused(self) -> bool:
        return bool(httpx.get(self.url, timeout=100).json()["paused"])

    def attack(self, page: Page, origin: str) -> dict[str, Any]:
        """Try everything from the page and return the outcomes."""
        event = {"event": "avatar.refused", "resource": {"prefect.resource.id": self.deployment}}
        outcomes: dict[str, Any] = page.evaluate(ATTACK, [origin, self.deployment, event])
        return outcomes


@pytest.fixture
def server(prefect_api_url: str) -> Server:
    flow = httpx.post(f"{prefect_api_url}/flows/", json={"name": "attacked"}, timeout=100).json()["id"]
    body = {"name": uuid.uuid4().hex, "flow_id": flow}
    created = httpx.post(f"{prefect_api_url}/deployments/", json=body, timeout=100).json()
    return Server(prefect_api_url.removesuffix("/api"), created["id"])


class EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><body></body>")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def foreign_origin() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{host.server_port}"
        host.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    flags = [*FLAGS, NO_OWN_DEFENCE, resolver_flag(REBOUND_HOST, "localhost")]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=BROWSER, args=flags, timeout=WAIT_TIMEOUT_SECONDS * 1000
        )
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    opened.set_default_timeout(WAIT_TIMEOUT_SECONDS * 1000)
    yield opened
    opened.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_own_page_can_do_everything(server: Server, page: Page, host: str) -> None:
    """The control: without it, the other tests could pass because the script does nothing."""
    origin = server.origin.replace("127.0.0.1", host)
    page.goto(f"{origin}/v2/")
    outcomes = server.attack(page, origin)
    assert outcomes == {
        "read": 200,
        "readWithoutPreflight": 200,
        "image": "loaded",
        "blob": 201,
        "pause": 200,
        "beacon": True,
        "form": "loaded",
        "events": "open",
        "listener": "open",
        "logs": "open",
    }
    assert server.is_paused()
    wait_for(lambda: {"blob", "beacon"} <= server.run_names() or None, "the runs")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_page_of_another_port_can_do_nothing(server: Server, page: Page, foreign_origin: str, host: str) -> None:
    page.goto(foreign_origin.replace("127.0.0.1", host))
    outcomes = server.attack(page, server.origin)
    assert outcomes == {
        "read": "blocked",
        "readWithoutPreflight": "blocked",
        "image": "blocked",
        "blob": "sent",
        "pause": "sent",
        "beacon": True,
        "form": "loaded",
        "events": "blocked",
        "listener": "blocked",
        "logs": "blocked",
    }
    assert (server.is_paused(), server.run_names()) == (False, set())


def test_rebound_page_can_do_nothing(server: Server, page: Page) -> None:
    """The page's own origin is http://evil.example with the server's port, and its name is now that of loopback."""
    rebound = server.origin.replace("127.0.0.1", REBOUND_HOST)
    page.route(f"{rebound}/page", lambda route: route.fulfill(content_type="text/html", body="<body></body>"))
    page.goto(f"{rebound}/page")
    page.unroute_all()
    outcomes = server.attack(page, rebound)
    assert outcomes == {
        "read": 421,
        "readWithoutPreflight": 421,
        "image": "blocked",
        "blob": 421,
        "pause": 421,
        "beacon": True,
        "form": "loaded",
        "events": "blocked",
        "listener": "blocked",
        "logs": "blocked",
    }
    assert (server.is_paused(), server.run_names()) == (False, set())


def test_other_site_can_link_to_the_ui_but_not_frame_it(server: Server, page: Page, foreign_origin: str) -> None:
    ui = f"{server.origin}/v2/"
    page.goto(foreign_origin)
    page.set_content(f"<iframe src='{ui}'></iframe>")
    page.frame_locator("iframe").get_by_text("may not load this address").wait_for()
    page.set_content(f"<a href='{ui}'>link</a>")
    page.get_by_role("link").click()
    page.wait_for_url("**/v2/dashboard**")
