"""The placeholder that replaces personal data in the ledger, in archives and in Prefect."""

from models.argil.avatar import UNKNOWN_STATUS, AvatarStatus

ERASED_PLACEHOLDER = "(erased)"
KEPT_RAW_STATUSES = (*AvatarStatus, UNKNOWN_STATUS)
"""Argil's statuses that an erasure keeps. Any other is text of Argil's, which may repeat a name or a URL."""


def erased_raw_status(raw_status: str | None) -> str | None:
    """Return what an erasure leaves of a status that Argil reported."""
    return raw_status if raw_status is None or raw_status in KEPT_RAW_STATUSES else ERASED_PLACEHOLDER
