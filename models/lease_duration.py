"""How long leases last."""

from __future__ import annotations

from datetime import timedelta

LEASE_DURATION = timedelta(seconds=30)
"""Maximum time for which the lease of a crashed owner blocks other owners.

Also the longest time that a request may be in transit (docs/guarantees.md, assumption 6): the lease is renewed
before each request, so a request of an earlier owner does not arrive after its lease has expired.
"""
