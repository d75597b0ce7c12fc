"""`avatars webhook` as its users run it; the token is told to nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from models.webhook import EVENTS
from simulator.server import ArgilSimulator

TOKEN = "canary-token-0123456789"
BASE = "https://avatars.example"
SHOWN = f"{BASE}/webhooks/argil/…"


def webhook(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(
        [sys.executable, "-m", "cli", "webhook", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "AVATARS_WEBHOOK_TOKEN": TOKEN, **environment},
        check=False,
    )
    for secret in ("canary", "Traceback"):
        assert secret not in ran.stdout + ran.stderr
    return ran


def there(argil: ArgilSimulator) -> list[Any]:
    return [(one["callbackUrl"], one["events"]) for one in argil.world.webhooks.all()]


def test_it_registers_once_lists_and_removes(simulated: ArgilSimulator) -> None:
    registered = webhook("register", "--url", BASE)
    assert registered.returncode == 0
    assert registered.stdout == f"registered {SHOWN} for {', '.join(EVENTS)}\n"
    assert there(simulated) == [(f"{BASE}/webhooks/argil/{TOKEN}", list(EVENTS))]
    again = webhook("register", "--url", f"{BASE}/")
    assert again.returncode == 0
    assert again.stdout.startswith(f"was registered already: {SHOWN}")
    assert len(there(simulated)) == 1

    listed = webhook("list", "--json")
    (found,) = json.loads(listed.stdout)
    assert (found["url"], found["events"]) == (SHOWN, list(EVENTS))
    assert SHOWN in webhook("list").stdout

    removed = webhook("remove", "--url", BASE, AVATARS_WEBHOOK_TOKEN="")
    assert (removed.returncode, removed.stdout) == (0, f"removed 1 of {SHOWN}\n")
    assert there(simulated) == []
    nothing = webhook("remove", "--url", BASE)
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "Argil has no webhook" in nothing.stderr


@pytest.mark.usefixtures("simulated")
@pytest.mark.parametrize(
    ("words", "environment", "code", "told"),
    [
        (["register"], {}, 2, "--url"),
        (["register", "--url", "http://avatars.example"], {}, 2, "url: must begin with https://"),
        (["remove", "--url", "avatars.example"], {}, 2, "url: must begin with https://"),
        (["register", "--url", BASE], {"AVATARS_WEBHOOK_TOKEN": ""}, 3, "AVATARS_WEBHOOK_TOKEN is not set"),
        (["register", "--url", BASE], {"AVATARS_WEBHOOK_TOKEN": "canary"}, 3, "AVATARS_WEBHOOK_TOKEN: Value error"),
        (["register", "--url", BASE], {"ARGIL_API_KEY": "canary-key"}, 3, "refuses the API key"),
        (["list"], {"ARGIL_API_KEY": ""}, 3, "ARGIL_API_KEY is not set"),
        (["list"], {"ARGIL_API_URL": "http://127.0.0.1:9/v1"}, 3, "no answer from Argil"),
    ],
)
def test_what_is_wrong_is_one_clear_message(
    words: list[str], environment: dict[str, str], code: int, told: str
) -> None:
    ran = webhook(*words, **environment)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert told in ran.stderr
