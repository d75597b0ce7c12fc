"""Every limit of the webhook receiver, which strangers can reach through the proxy in front of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReceiverLimits:
    """Limits of one receiver; tests use smaller ones.

    Behind a proxy all connections have one address, so no limit is per address.
    """

    connections: int = 512
    """Open connections. A further one replaces the oldest that has not sent the token yet. Between the acceptance
    of a connection and the first read from it, asyncio accepts up to three times MAX_ACCEPTS others."""
    head_seconds: float = 5.0
    """From the connection to the end of the header section. A proxy sends it at once."""
    head_bytes: int = 16 * 1024
    """Request line and header fields. Argil's have a few hundred bytes."""
    body_seconds: float = 10.0
    """From the end of the header section to the end of the body."""
    body_bytes: int = 64 * 1024
    """Argil's deliveries have a few hundred bytes, plus the extras of the avatar."""
    chunk_overhead_bytes: int = 1024
    """How much larger than the body the rest of a chunked body may be: sizes, extensions and trailers."""
    linger_seconds: float = 5.0
    """How long the receiver waits for the sender to close the connection after the response."""
    linger_bytes: int = 256 * 1024
    """How much is read and discarded after a response. A sender whose connection is closed while it sends often
    does not read the response."""
    authenticated_linger_bytes: int = 16 * 1024 * 1024
    """The same if the request had the token: Argil must learn that its delivery is too large."""
    requests_per_second: float = 50.0
    """Average rate of deliveries; requests without the token have a budget of the same size of their own, so that
    they cannot use up that of Argil."""
    request_burst: int = 1000
    """Requests beyond the average rate, for example when many trainings finish together."""
    pending_deliveries: int = 64
    """Deliveries whose body is being read or that wait for the database."""
    log_interval_seconds: float = 60.0
    """At most one line per kind of event is logged in this time."""


DEFAULT_LIMITS = ReceiverLimits()
MAX_ACCEPTS = 128
"""Connections that asyncio accepts before it reads from the others."""
LISTEN_BACKLOG = 1024
"""Connections that the kernel keeps until the receiver accepts them, for example while it is restarted."""
MAX_OPEN_FILES = 1024
"""RLIMIT_NOFILE of the receiver: its connections, those that it is closing, and the database."""
NICENESS = 10
"""Priority of the receiver on a busy machine: below the Prefect server and the runs."""
