"""The templates of the notifications, rendered by Prefect's Jinja, with hostile texts in the event."""

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest
from apprise import Apprise, NotifyBase
from apprise.plugins.discord import NotifyDiscord
from apprise.plugins.mattermost import NotifyMattermost
from apprise.plugins.sendgrid import NotifySendGrid
from apprise.plugins.slack import NotifySlack
from prefect.server.utilities.user_templates import render_user_template_sync, validate_user_template

from deployments.notifications import NOTIFICATION_TEMPLATES, NotificationTemplate
from models.outcomes import next_step
from models.provisioning import Status
from models.reason import Reason
from models.text.escaping import INERT_FORMS, inert
from tests.hostile_texts import MARKUP_TEXTS
from tests.models.reports.test_markdown_reports import provisioning

MARKUP = re.compile(r"[<>&@\[\]*~#|\"\\]|://|www\.", re.IGNORECASE)
"""Characters of markup, mentions and addresses; the templates themselves contain only backticks."""


def render(template: NotificationTemplate, text: str) -> tuple[str, str]:
    """Return subject and body of the message about an event with this text in each field."""
    payload = {
        "provisioning_id": "p-1",
        "avatar_id": text,
        "duplicate_avatar_id": text,
        "reasons": [{"message": text}, {"message": "second"}],
    }
    context = {"event": {"resource": {"name": text}, "payload": payload}}
    return (
        render_user_template_sync(template.subject, context),
        render_user_template_sync(template.body, context),
    )


@pytest.mark.parametrize("template", NOTIFICATION_TEMPLATES, ids=lambda template: template.event)
def test_message_contains_no_markup_of_an_event(template: NotificationTemplate) -> None:
    validate_user_template(template.subject)
    validate_user_template(template.body)
    text = " ".join([*MARKUP_TEXTS.values(), *INERT_FORMS])
    subject, body = render(template, text)
    assert MARKUP.search(subject) is None
    assert MARKUP.search(body) is None
    assert (subject + body).count("`") == "".join(render(template, "Ada")).count("`")
    assert all(form in subject for form in INERT_FORMS.values())


@pytest.mark.parametrize("text", ["Ada", "José a_b-c (2)", "Ada {{ 7 * 7 }}", "<!channel> R&D"])
def test_message_names_the_avatar_as_an_artifact_does(text: str) -> None:
    template = NOTIFICATION_TEMPLATES[0]
    subject, body = render(template, text)
    assert subject == f"Avatar {inert(text)}: {template.title}"
    assert body.startswith(f"{inert(text)} (provisioning p-1, avatar {inert(text)}): ")
    assert f"\n- {inert(text)}\n- second\n" in body
    assert "`avatars show p-1`" in body


@pytest.mark.parametrize(("kind", "is_possible"), [("video", True), ("adopted", False), ("", True)])
def test_message_about_an_adopted_avatar_suggests_no_retrain(kind: str, is_possible: bool) -> None:
    [template] = [item for item in NOTIFICATION_TEMPLATES if item.event == "avatar.training-failed"]
    payload = {"provisioning_id": "p-1", "kind": kind, "reasons": []}
    context = {"event": {"resource": {"name": "Ada"}, "payload": payload}}
    body = render_user_template_sync(template.body, context)
    assert ("avatars retrain p-1" in body) is is_possible
    assert "{%" not in body


def test_message_without_an_avatar_names_none() -> None:
    assert render(NOTIFICATION_TEMPLATES[0], "")[1].startswith(" (provisioning p-1): ")


@pytest.fixture
def received() -> Iterator[tuple[str, queue.Queue[Any]]]:
    """A web server on loopback that stands for the services, and the JSON that it received."""
    bodies: queue.Queue[Any] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def slack(address: str) -> NotifyBase:
    create: Any = NotifySlack  # without types
    service = create(token_a="T1JJ3T3L2", token_b="A1BRTD4JD", token_c="TIiajkdnlazkcOXrIdevi7FQ")
    service.webhook_url = f"http://{address}/services"
    return cast("NotifyBase", service)


def mattermost(address: str) -> NotifyBase:
    host, _, port = address.partition(":")
    return NotifyMattermost(token="3ccdd113474722377935511fc85d3dd4", host=host, port=int(port))


def discord(address: str) -> NotifyBase:
    service = NotifyDiscord(webhook_id="A" * 24, webhook_token="B" * 64)
    service.notify_url = f"http://{address}/api/webhooks"
    return service


def sendgrid(address: str) -> NotifyBase:
    create: Any = NotifySendGrid  # without types
    service = create(apikey="abcd1234", from_email="a@example.com", targets=["b@example.com"])
    service.notify_url = f"http://{address}/v3/mail/send"
    return cast("NotifyBase", service)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


@pytest.mark.parametrize("service", [slack, mattermost, discord, sendgrid])
def test_service_receives_no_markup(
    service: Callable[[str], NotifyBase], received: tuple[str, queue.Queue[Any]]
) -> None:
    """Prefect's blocks send through these plug-ins. That of Slack turns `&lt;!channel&gt;` back into a mention."""
    address, bodies = received
    plugin = Apprise()
    plugin.add(service(address))
    template = NOTIFICATION_TEMPLATES[0]
    subject, body = render(template, " ".join(MARKUP_TEXTS.values()))
    assert plugin.notify(body=body, title=subject, notify_type="info")
    texts = [text for text in strings(bodies.get(timeout=30)) if "Ada" in text]
    assert texts
    for text in texts:
        assert MARKUP.search(text.replace("**", "").replace("\\", "")) is None, text


def test_message_prints_the_next_step_of_its_event() -> None:
    [template] = [item for item in NOTIFICATION_TEMPLATES if item.event == "avatar.rejected"]
    reasons = [Reason(code="consent.quarantined", message="refused as r-1", hint="")]
    rejected = provisioning(Status.REJECTED, reasons=reasons)
    payload = {"provisioning_id": "p-1", "reasons": [], "next_step": next_step(rejected)}
    body = render_user_template_sync(template.body, {"event": {"resource": {"name": "Ada"}, "payload": payload}})
    assert "Next: have a person review the refused provisioning" in body
    assert "make the request again" not in body
