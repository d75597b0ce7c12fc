"""The table of limits in docs/webhooks.md has the values of the code."""

from __future__ import annotations

from pathlib import Path

from deployments.embedded.webhook_receiver import MAX_RESTART_SECONDS, MIN_RESTART_SECONDS
from deployments.webhooks.limits import DEFAULT_LIMITS, MAX_OPEN_FILES
from store.webhook_deliveries import MAX_AGE, MAX_DELIVERIES
from tests.test_docs import table

PAGE = (Path(__file__).parents[3] / "docs/webhooks.md").read_text()
KIB, MIB = 2**10, 2**20


def test_documented_limits_are_those_of_the_code() -> None:
    limits = DEFAULT_LIMITS
    documented = dict(row[:2] for row in table(PAGE, "What"))
    assert documented == {
        "connections": f"{limits.connections}",
        "requests per connection": "1 (no keep-alive)",
        "header section": f"{limits.head_bytes // KIB} KiB, {limits.head_seconds:.0f} seconds",
        "body": f"{limits.body_bytes // KIB} KiB, {limits.body_seconds:.0f} seconds",
        "chunk sizes, extensions and trailers of a chunked body": (
            f"{limits.chunk_overhead_bytes // KIB} KiB more than the body"
        ),
        "deliveries": f"{limits.requests_per_second:.0f} per second, after a burst of {limits.request_burst:,}",
        "requests without the token": "the same, counted separately",
        "deliveries whose body is being read, or that are being stored": f"{limits.pending_deliveries}",
        "connections after their response": (
            f"{limits.linger_seconds:.0f} seconds; {limits.linger_bytes // KIB} KiB are discarded, "
            f"{limits.authenticated_linger_bytes // MIB} MiB with the token"
        ),
        "log": "one line per kind of event and minute, with the number of the others",
        "stored deliveries": f"the newest {MAX_DELIVERIES:,} of the last {MAX_AGE.days} days",
    }
    assert limits.log_interval_seconds == 60
    assert f"at most {MAX_OPEN_FILES:,} open files" in PAGE
    assert f"after {MIN_RESTART_SECONDS:.0f} to {MAX_RESTART_SECONDS:.0f} seconds" in PAGE
