"""A provisioning as a row of CSV, as `avatars list --csv` prints it."""

from __future__ import annotations

from models.provisioning import Provisioning

PROVISIONING_COLUMNS = (
    "status",
    "reference",
    "name",
    "id",
    "avatar_id",
    "voice_id",
    "batch_id",
    "created_at",
    "updated_at",
    "reasons",
)


def provisioning_cells(provisioning: Provisioning) -> list[str]:
    """Return the cells of PROVISIONING_COLUMNS; times are in UTC, in ISO 8601."""
    return [
        provisioning.status.value,
        provisioning.reference,
        provisioning.name,
        provisioning.id,
        provisioning.avatar_id or "",
        provisioning.voice_id or "",
        provisioning.batch_id or "",
        f"{provisioning.created_at:%Y-%m-%dT%H:%M:%SZ}",
        f"{provisioning.updated_at:%Y-%m-%dT%H:%M:%SZ}",
        "; ".join(f"{reason.code}: {reason.message}" for reason in provisioning.reasons),
    ]
