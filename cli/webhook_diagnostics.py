"""The check of `avatars doctor` that reads the webhooks of the account at Argil. Webhooks are optional."""

from __future__ import annotations

from cli.argil_client import argil_client
from cli.diagnostics import DiagnosticResult
from models.argil.webhook import RECEIVER_PATH, SUCCESS_EVENT
from models.clock import SystemClock
from models.errors import AvatarsError
from models.service_health import format_age
from models.settings import Settings

CHECK = "Webhooks at Argil"
_REGISTER = "register the receiver with `avatars webhook register --url URL`"
_CHECK_PROXY = "request its URL from outside, and check the proxy, the token and `avatars webhook list`"


async def check_webhooks(settings: Settings, key: str) -> DiagnosticResult:
    """Return whether a receiver is registered and when Argil last delivered to one; a warning if not."""
    clock = SystemClock()
    try:
        async with argil_client(settings, key) as argil:
            webhooks = await argil.list_webhooks()
    except AvatarsError as error:
        detail = f"the webhooks could not be listed: {error.message}"
        return DiagnosticResult(CHECK, ok=True, detail=detail, hint="run `avatars doctor` again later")
    receivers = [hook for hook in webhooks if RECEIVER_PATH in hook.url and SUCCESS_EVENT in hook.events]
    if not receivers:
        detail = "none is registered: trainings are detected by polls, and voices are matched by name or given"
        return DiagnosticResult(CHECK, ok=True, detail=detail, hint=_REGISTER)
    triggered = [hook.last_triggered_at for hook in receivers if hook.last_triggered_at is not None]
    if not triggered:
        detail = f"{len(receivers)} registered, but Argil reports no delivery so far"
        return DiagnosticResult(CHECK, ok=True, detail=detail, hint=_CHECK_PROXY)
    age = format_age(max(triggered), clock.now())
    return DiagnosticResult(CHECK, ok=True, detail=f"{len(receivers)} registered, last delivery {age}")
