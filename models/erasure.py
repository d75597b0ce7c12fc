"""The result of an erasure: the placeholder in the ledger, and the steps that remain in other systems."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

ERASED_PLACEHOLDER = "(erased)"
"""Replaces personal data in the ledger."""


class ErasureReport(BaseModel):
    """Personal data that remains elsewhere: avatars at Argil, Prefect runs with their parameters, and archives."""

    model_config = ConfigDict(frozen=True)

    avatar_ids: list[str]
    flow_run_ids: list[str]
    archives: list[str] = []
    """The ledger's messages about archives that hold events of this provisioning."""

    @property
    def remaining_steps(self) -> list[str]:
        """The steps that an operator must take, as text."""
        steps = []
        if self.avatar_ids:
            steps.append(
                "at Argil: name, recordings, extras and the trained avatar remain; its API cannot delete "
                f"them. Delete them in Argil's app, or ask its support to delete: {', '.join(self.avatar_ids)}"
            )
        if self.flow_run_ids:
            steps.append(
                "in Prefect: parameters, run names and artifacts remain until you delete the runs "
                f"(`prefect flow-run delete ID`): {', '.join(self.flow_run_ids)}"
            )
        if self.archives:
            steps.append(
                "in archives: its archived events keep their messages and may name more runs. "
                f"Remove the lines with its id from: {'; '.join(self.archives)}"
            )
        steps.append("elsewhere: your recordings, logs and backups are unchanged")
        return steps
