"""Every kind of input, and how large its part of a run is."""

from __future__ import annotations

from tests.fuzz import answers, manifests, media, requests, urls
from tests.fuzz.kinds import Kind

SHARES: dict[str, tuple[Kind, int]] = {
    kind.name: (kind, percent)
    for kind, percent in (
        (requests.KIND, 10),
        (manifests.KIND, 20),
        (answers.KIND, 10),
        (answers.DELIVERIES, 10),
        (urls.KIND, 10),
        (media.BOXES, 15),
        (media.PROBE, 15),
        (media.HOSTS, 10),
    )
}
"""Kinds by name, with the percentage of all cases that is theirs."""
