"""The webhooks of an account."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime
from typing import Any

from simulator.validation import InvalidCreateRequest

Webhook = dict[str, Any]


class Webhooks:
    """The webhooks of one account. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._webhooks: dict[str, Webhook] = {}

    def add(self, body: Any) -> Webhook:
        """Register a webhook; equal requests register several. Raises InvalidCreateRequest."""
        webhook = {"id": str(uuid.uuid4()), **_validate(body)}
        with self._lock:
            self._webhooks[webhook["id"]] = webhook
        return webhook

    def all(self) -> list[Webhook]:
        """Return every webhook, oldest first."""
        with self._lock:
            return list(self._webhooks.values())

    def change(self, webhook_id: str, body: Any) -> Webhook | None:
        """Replace a webhook; None if the id is unknown. Raises InvalidCreateRequest."""
        fields = _validate(body)
        with self._lock:
            if webhook_id not in self._webhooks:
                return None
            self._webhooks[webhook_id] = changed = {"id": webhook_id, **fields}
            return changed

    def remove(self, webhook_id: str) -> bool:
        """Remove a webhook; returns whether it existed."""
        with self._lock:
            return self._webhooks.pop(webhook_id, None) is not None

    def trigger(self, event: str, now: datetime) -> list[str]:
        """Return the URLs that an event is delivered to, and record the delivery as their last one."""
        time = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self._lock:
            triggered = [webhook for webhook in self._webhooks.values() if event in webhook["events"]]
            for webhook in triggered:
                self._webhooks[webhook["id"]] = {**webhook, "lastTriggeredAt": time}
            return [webhook["callbackUrl"] for webhook in triggered]


def _validate(body: Any) -> Webhook:
    if not isinstance(body, dict) or body.keys() != {"callbackUrl", "events"}:
        raise InvalidCreateRequest("the body must be an object of callbackUrl and events")
    url, events = body["callbackUrl"], body["events"]
    if not isinstance(url, str) or not url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        raise InvalidCreateRequest("callbackUrl must be a URI that starts with https://")
    if not isinstance(events, list) or not events or not all(isinstance(event, str) for event in events):
        raise InvalidCreateRequest("events must be a list of strings, and not empty")
    return {"callbackUrl": url, "events": events}
