"""All fuzz targets, and the share of cases that each gets."""

from __future__ import annotations

from tests.fuzz import (
    argil_responses,
    hosts,
    images,
    inspector_pool,
    manifests,
    media,
    requests,
    spreadsheets,
    urls,
)
from tests.fuzz.target import FuzzTarget

TARGET_WEIGHTS: dict[str, tuple[FuzzTarget, int]] = {
    target.name: (target, percent)
    for target, percent in (
        (requests.TARGET, 5),
        (manifests.TARGET, 10),
        (spreadsheets.TARGET, 5),
        (argil_responses.TARGET, 10),
        (argil_responses.DELIVERIES, 10),
        (urls.TARGET, 10),
        (media.BOXES, 10),
        (media.PROBE, 15),
        (images.IMAGES, 4),
        (images.IMAGE_POOL, 1),
        (inspector_pool.POOL, 5),
        (hosts.HOSTS, 5),
        (hosts.RANGES, 10),
    )
}
"""Targets by name, with their percentage of all cases."""
