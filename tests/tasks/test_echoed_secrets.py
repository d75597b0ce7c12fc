"""Argil, or a gateway before it, repeats secrets of the request; nothing that is stored or raised has them."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.responses import JSONResponse, Response

from models.errors import AvatarsError
from models.text import redaction
from models.text.redaction import redact
from tests.provisioning_harness import KEY, ProvisioningHarness, SimulatorGateway
from tests.secret_scanner import contains_secret

POST = ("POST", "/v1/avatars")
QUERY = "X-Amz-Expires=3600&part=canary0123456789&X-Amz-Signature=canary%2F0123%2Bsignature"
ECHOES: dict[str, Callable[[str], str]] = {
    "path and query": lambda query: f"/ada/dataset.mp4?{query}",
    "percent-encoded": lambda query: quote(f"/ada/dataset.mp4?{query}", safe=""),
    "HTML": lambda query: f"/ada/dataset.mp4?{query}".replace("&", "&amp;"),
    "base64": lambda query: base64.b64encode(f"/ada.mp4?{query}".encode()).decode(),
    "value alone": lambda _: "signature canary/0123+signature",
    "key": lambda _: f"key {KEY.upper()} or {base64.b64encode(KEY.encode()).decode()}",
    "key in lines": lambda _: f"key {KEY[:4]}<br>\n{KEY[4:]}",
}
RESPONSES: dict[str, Callable[[str], Response]] = {
    "rejected": lambda text: JSONResponse({"code": 400, "message": f"cannot read {text} here"}, 400),
    "unauthorized": lambda text: JSONResponse({"code": 401, "message": f"cannot read {text} here"}, 401),
    "unknown": lambda text: JSONResponse({"code": 500, "message": f"cannot read {text} here"}, 200),
    "page": lambda text: Response(f"<html><p>cannot read {text} here", 502, media_type="text/html"),
    "not JSON": lambda text: Response(f"cannot read {text} here", 500, media_type="text/plain"),
    "created": lambda text: JSONResponse({"id": "a-1", "status": "TRAINING", "actorName": f"{text} here"}, 201),
}


@pytest.fixture(autouse=True)
def registered_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the key as `Settings.load` does."""
    monkeypatch.setattr(redaction, "_registered_secrets", [KEY])


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("response", RESPONSES)
async def test_echo_is_neither_stored_nor_raised(
    harness: ProvisioningHarness, gateway: SimulatorGateway, ledger_file: Path, response: str, echo: str
) -> None:
    gateway.canned_responses[POST] = [RESPONSES[response](ECHOES[echo](QUERY))]
    accepted = await harness.accepted(dataset_video=f"https://videos.example/ada/dataset.mp4?{QUERY}")
    error = ""
    try:
        await harness.submitted_from(accepted)
    except AvatarsError as raised:
        error = f"{raised} {raised.hint}"
    assert not contains_secret(error.encode())
    stored = str(text_of(ledger_file))
    assert "here" in stored
    assert not contains_secret(stored.encode())


async def test_scope_ends_with_the_submission(harness: ProvisioningHarness, gateway: SimulatorGateway) -> None:
    gateway.canned_responses[POST] = [RESPONSES["unauthorized"]("x")]
    accepted = await harness.accepted(dataset_video=f"https://videos.example/ada/dataset.mp4?{QUERY}")
    with suppress(AvatarsError):
        await harness.submitted_from(accepted)
    assert redact("canary0123456789") == "canary0123456789"


def text_of(ledger_file: Path) -> list[object]:
    """Return everything but the request that the ledger has about provisionings."""
    queries = (
        "SELECT reasons, raw_status, avatar_snapshot FROM provisionings",
        "SELECT response FROM submissions",
        "SELECT message, raw_status FROM events",
    )
    with closing(sqlite3.connect(ledger_file)) as connection:
        return [connection.execute(query).fetchall() for query in queries]
