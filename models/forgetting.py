"""What forgetting a person leaves: in the ledger the bare fact, elsewhere what only its owner can remove."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

FORGOTTEN = "(forgotten)"
"""What stands in the ledger in place of what named a person."""


class Remains(BaseModel):
    """What still names the person elsewhere: avatars at Argil, and runs in Prefect with their parameters."""

    model_config = ConfigDict(frozen=True)

    avatar_ids: list[str]
    flow_run_ids: list[str]
    archives: list[str] = []
    """What the ledger tells of archives that hold events of it."""

    @property
    def steps(self) -> list[str]:
        """What a person is to do now, in words."""
        steps = []
        if self.avatar_ids:
            steps.append(
                "at Argil: name, recordings, extras and the trained avatar remain; its API has no way to delete "
                f"them. Delete in Argil's app, or have its support delete: {', '.join(self.avatar_ids)}"
            )
        if self.flow_run_ids:
            steps.append(
                "in Prefect: parameters, names of runs and artifacts remain until they are deleted there "
                f"(`prefect flow-run delete ID`): {', '.join(self.flow_run_ids)}"
            )
        if self.archives:
            steps.append(
                "in archives: its events keep their words, and may name more runs, until the lines with its id are "
                f"removed there: {'; '.join(self.archives)}"
            )
        steps.append("the recordings are where you keep them; logs and backups of yours keep what they hold")
        return steps
