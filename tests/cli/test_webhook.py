"""`avatars webhook` as a process; the token is never printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from models.argil.webhook import SUBSCRIBED_EVENTS
from simulator.server import ArgilSimulator

TOKEN = "canary-token-0123456789"
BASE = "https://avatars.example"
MASKED_URL = f"{BASE}/webhooks/argil/…"

pytestmark = pytest.mark.system


def webhook(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(
        [sys.executable, "-m", "cli", "webhook", *args],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "AVATARS_WEBHOOK_TOKEN": TOKEN, **environment},
        check=False,
    )
    for secret in ("canary", "Traceback"):
        assert secret not in ran.stdout + ran.stderr
    return ran


def registered_webhooks(argil: ArgilSimulator) -> list[Any]:
    return [(hook["callbackUrl"], hook["events"]) for hook in argil.account.webhooks.all()]


def test_webhook_register_list_and_remove(simulated: ArgilSimulator) -> None:
    registered = webhook("register", "--url", BASE)
    assert registered.returncode == 0
    assert registered.stdout == f"registered {MASKED_URL} for {', '.join(SUBSCRIBED_EVENTS)}\n"
    assert registered_webhooks(simulated) == [(f"{BASE}/webhooks/argil/{TOKEN}", list(SUBSCRIBED_EVENTS))]
    again = webhook("register", "--url", f"{BASE}/")
    assert again.returncode == 0
    assert again.stdout.startswith(f"already registered: {MASKED_URL}")
    assert len(registered_webhooks(simulated)) == 1

    listed = webhook("list", "--json")
    (document,) = json.loads(listed.stdout)
    assert (document["url"], document["events"]) == (MASKED_URL, list(SUBSCRIBED_EVENTS))
    assert MASKED_URL in webhook("list").stdout

    removed = webhook("remove", "--url", BASE, AVATARS_WEBHOOK_TOKEN="")
    assert (removed.returncode, removed.stdout) == (0, f"removed 1 webhook of {MASKED_URL}\n")
    assert registered_webhooks(simulated) == []
    nothing = webhook("remove", "--url", BASE)
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "Argil has no webhook" in nothing.stderr


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize(
    ("args", "environment", "code", "message"),
    [
        (["register"], {}, 2, "--url"),
        (["register", "--url", "http://avatars.example"], {}, 2, "url: must begin with https://"),
        (["remove", "--url", "avatars.example"], {}, 2, "url: must begin with https://"),
        (["register", "--url", BASE], {"AVATARS_WEBHOOK_TOKEN": ""}, 3, "AVATARS_WEBHOOK_TOKEN is not set"),
        (["register", "--url", BASE], {"AVATARS_WEBHOOK_TOKEN": "canary"}, 3, "AVATARS_WEBHOOK_TOKEN: Value error"),
        (["register", "--url", BASE], {"ARGIL_API_KEY": "canary-key"}, 3, "rejects the API key"),
        (["list"], {"ARGIL_API_KEY": ""}, 3, "ARGIL_API_KEY is not set"),
        (["list"], {"ARGIL_API_URL": "http://127.0.0.1:9/v1"}, 3, "no response from Argil"),
    ],
)
def test_webhook_failure_is_one_clear_error(
    args: list[str], environment: dict[str, str], code: int, message: str
) -> None:
    ran = webhook(*args, **environment)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert message in ran.stderr
